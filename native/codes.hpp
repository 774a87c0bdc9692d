// Numbers held as 8-bit codes: a code c stands for scale * (c - zero).
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

struct Codes {
  const uint8_t* codes;
  float scale, zero;
};

// How numbers become codes: round(number / scale) + zero, within low..high.
struct CodeTarget {
  float scale, zero, low, high;
};

struct CodesTable {
  void (*add)(Codes x, Codes y, int64_t count, CodeTarget target, uint8_t* out);
};

}  // namespace mlpress

MLPRESS_DISPATCH(CodesTable, codes)
