// Convolutions of channels-last images of 8-bit codes by int8 weights, summed in whole numbers.
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// Columns of a packed weight lie in panels of this many, the last one as wide as it is; there are 16 or a multiple.
constexpr int64_t code_panel_width = 32;

// Where the bytes of a window lie: runs of `fours` times four bytes, `step` bytes apart.
struct WindowRuns {
  int64_t count, step, fours;
};

// `lines` times `windows` windows, the first of a line `line_step` bytes from that of the line before, each of the others
// `step` bytes from the one before it.
struct Windows {
  const uint8_t* x;
  int64_t lines, line_step, windows, step;
};

// A number that is held as a code is added to the one that a code of the convolution stands for. All is in steps of the
// result's codes.
struct Residual {
  const uint8_t* codes;  // laid out as the output, or null
  float scale, shift;    // the number is code * scale + shift
  float own_scale;       // a step of the convolution's codes
  float low, high;       // where the sum is cut off; whole numbers
};

// What becomes of sums: sum * scale + bias, cut off at low and high; for codes, rounded, maybe with a residual added and
// rounded again, plus zero. A product and a sum are one operation, rounded once.
struct CodeFinish {
  const int32_t* start;       // what sums begin with, [columns]
  const float *scale, *bias;  // [columns]
  float low, high, zero;
  Residual residual;
};

struct CodeConvTable {
  // The columns of a weight, packed [panel][run][four][column][4], of which `n` are there. A line of the output begins
  // `out_line_step` elements after the one before.
  void (*to_codes)(Windows x, WindowRuns runs, const int8_t* weight, int64_t n, CodeFinish finish, int64_t out_line_step,
                   uint8_t* out);
  void (*to_numbers)(Windows x, WindowRuns runs, const int8_t* weight, int64_t n, CodeFinish finish, int64_t out_line_step,
                     float* out);
};

}  // namespace mlpress

MLPRESS_DISPATCH(CodeConvTable, code_conv)
