// Numbers held as 8-bit codes: a code c stands for scale * (c - zero).
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// A sum of two numbers that are held as codes. All is in steps of the result's codes.
struct CodeSum {
  float x_scale, x_zero;   // the first is (code - x_zero) * x_scale
  float y_scale, y_shift;  // the second is code * y_scale + y_shift
  float low, high, zero;   // the sum is cut off at low and high and rounded; its code is so much more
};

struct CodesTable {
  void (*add)(const uint8_t* x, const uint8_t* y, int64_t count, CodeSum sum, uint8_t* out);
};

}  // namespace mlpress

MLPRESS_DISPATCH(CodesTable, codes)
