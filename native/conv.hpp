// Convolutions of channels-last float images: as products of matrices, and by Winograd's minimal filtering.
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// Columns of a packed matrix lie in panels: [k][panel_width] one after the other, the last one as narrow as it is.
constexpr int64_t panel_width = 32;

// Filtering by F(4 x 4, 3 x 3): 6 x 6 inputs make 4 x 4 outputs, by one product for each of 36 places.
constexpr int64_t tile_outputs = 4;
constexpr int64_t tile_inputs = 6;
constexpr int64_t tile_places = tile_inputs * tile_inputs;

// What happens to a sum before it is stored.
struct Finish {
  const float* bias;      // [n], or null
  const float* residual;  // laid out as the output, or null
  float floor;            // the least value; minus infinity for none
};

// Tiles of the images [images, height, width, channels] are counted row by row, image by image.
struct Images {
  int64_t height, width, channels;
};

struct ConvTable {
  // out[m, n] = finish(a[m, k] * b), where b is packed and n a multiple of 16. Rows of a are `a_step` apart, those of out
  // follow one another.
  void (*multiply)(const float* a, int64_t a_step, int64_t m, int64_t k, const float* b, int64_t n, Finish finish,
                   float* out);
  // Inputs of `count` tiles from number `first` on, transformed: spread[36, count, channels]. Channels come in
  // sixteens, here and below; what lies outside of an image is zero.
  void (*spread)(const float* x, Images shape, int64_t first, int64_t count, float* out);
  // Outputs of these tiles from their products [36, count, channels]; `shape` is the output's.
  void (*gather)(const float* products, Images shape, int64_t first, int64_t count, Finish finish, float* out);
};

}  // namespace mlpress

MLPRESS_DISPATCH(ConvTable, conv)
