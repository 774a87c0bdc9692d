// Hot loops of scalar k-means: counting values and giving each its nearest centroid.
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

struct KmeansTable {
  // How many values are NaN or infinite.
  int64_t (*nonfinite_half)(const uint16_t* values, int64_t count);
  int64_t (*nonfinite_float)(const float* values, int64_t count);
  // Adds to counts[65536], by the raw bits.
  void (*histogram_half)(const uint16_t* values, int64_t count, uint32_t* counts);
  // out[i] = the number of thresholds below values[i]. At most 255 thresholds, ascending.
  void (*rank_half)(const uint16_t* values, int64_t count, const int16_t* thresholds, int size, uint8_t* out);
  // out[i] = ranks[values[i]], by the raw bits.
  void (*map_half)(const uint16_t* values, int64_t count, const uint8_t* ranks, uint8_t* out);
  void (*rank_float)(const float* values, int64_t count, const float* thresholds, int size, uint8_t* out);
};

}  // namespace mlpress

MLPRESS_DISPATCH(KmeansTable, kmeans)
