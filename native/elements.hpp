// Elements by mask or index, and sums over them.
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

struct SquaredSums {
  double error;   // sum of (a - b)^2
  double signal;  // sum of a^2
};

struct ElementsTable {
  // mask has one bit for each of `count` elements; `kept` is the number of ones among them. width is the size of an
  // element: 1, 2 or 4 bytes.
  void (*gather)(const void* values, const uint8_t* mask, int64_t count, int64_t kept, int width, void* out);
  void (*scatter)(const void* kept_values, const uint8_t* mask, int64_t count, int64_t kept, int width, void* out);
  uint8_t (*maximum)(const uint8_t* values, int64_t count);
  // Every index is below table_size.
  void (*lookup)(const uint8_t* indices, int64_t count, const void* table, int64_t table_size, int width, void* out);
  SquaredSums (*squared_sums_half)(const uint16_t* a, const uint16_t* b, int64_t count);
  SquaredSums (*squared_sums_float)(const float* a, const float* b, int64_t count);
};

}  // namespace mlpress

MLPRESS_DISPATCH(ElementsTable, elements)
