#ifdef MLPRESS_AVX2
#include <immintrin.h>
#endif

#include "conv.hpp"

#include "tiles.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

// ---- products of matrices ----

Finish at(Finish finish, int64_t row, int64_t column, int64_t step) {
  if (finish.bias) finish.bias += column;
  if (finish.residual) finish.residual += row * step + column;
  return finish;
}

void multiply(const float* a, int64_t a_step, int64_t m, int64_t k, const float* b, int64_t n, Finish finish,
              float* out) {
  const int64_t tiles = (m + kTileRows - 1) / kTileRows;
  for (int64_t panel = 0; panel < n; panel += panel_width) {
    const int64_t width = n - panel < panel_width ? n - panel : panel_width;
    for (int64_t column = panel, wide; column < panel + width; column += wide) {
      wide = panel + width - column < kTileLanes * kLanes ? kLanes : kTileLanes * kLanes;
      const float* columns = b + panel * k + (column - panel);
      for (int64_t t = 0; t < tiles; ++t) {
        // Tiles of almost equal height: a short one at the end would leave the arithmetic units waiting.
        const int64_t row = m * t / tiles, rows = m * (t + 1) / tiles - row;
        const MultiplyTile tile =
            wide == kLanes ? tile_of<kTileRows, 1>(rows) : tile_of<kTileRows, kTileLanes>(rows);
        const Ahead ahead{b + (panel + width) * k + width * k * t / tiles, (width + tiles - 1) / tiles};
        const float* later = nullptr;
        if (finish.residual) later = finish.residual + (t + 1 < tiles ? (row + rows) * n + column : column + wide);
        tile(a + row * a_step, a_step, k, columns, width, ahead, at(finish, row, column, n), later, n,
             out + row * n + column);
      }
    }
  }
}

// ---- minimal filtering: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", section 4 ----

// One axis of the transform of inputs.
void spread_axis(const Lanes (&d)[tile_inputs], Lanes (&out)[tile_inputs]) {
  const Lanes two = all(2.0f), four = all(4.0f), five = all(5.0f);
  const Lanes even = d[4] - four * d[2], odd = d[3] - four * d[1];
  const Lanes far_even = d[4] - d[2], far_odd = two * (d[3] - d[1]);
  out[0] = four * d[0] - five * d[2] + d[4];
  out[1] = even + odd;
  out[2] = even - odd;
  out[3] = far_even + far_odd;
  out[4] = far_even - far_odd;
  out[5] = four * d[1] - five * d[3] + d[5];
}

// One axis of the transform of products.
void gather_axis(const Lanes (&m)[tile_inputs], Lanes (&out)[tile_outputs]) {
  const Lanes two = all(2.0f), four = all(4.0f), eight = all(8.0f);
  const Lanes even = m[1] + m[2], odd = m[1] - m[2], far_even = m[3] + m[4], far_odd = m[3] - m[4];
  out[0] = m[0] + even + far_even;
  out[1] = odd + two * far_odd;
  out[2] = even + four * far_even;
  out[3] = odd + eight * far_odd + m[5];
}

// Where a tile lies: its first output.
struct Corner {
  int64_t image, y, x;
};

Corner corner(Images shape, int64_t tile) {
  const int64_t down = (shape.height + tile_outputs - 1) / tile_outputs;
  const int64_t across = (shape.width + tile_outputs - 1) / tile_outputs;
  return {tile / (down * across), tile / across % down * tile_outputs, tile % across * tile_outputs};
}

void spread(const float* x, Images shape, int64_t first, int64_t count, float* out) {
  static const float outside[kLanes] = {};
  const int64_t channels = shape.channels;
  for (int64_t t = 0; t < count; ++t) {
    const Corner start = corner(shape, first + t);
    const float* pixels[tile_inputs][tile_inputs];
    for (int i = 0; i < tile_inputs; ++i) {
      for (int j = 0; j < tile_inputs; ++j) {
        const int64_t row = start.y + i - 1, column = start.x + j - 1;
        const bool inside = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
        pixels[i][j] = inside ? x + ((start.image * shape.height + row) * shape.width + column) * channels : nullptr;
      }
    }
    for (int64_t c = 0; c < channels; c += kLanes) {
      Lanes half[tile_inputs][tile_inputs];
      for (int j = 0; j < tile_inputs; ++j) {
        Lanes column[tile_inputs], spread_column[tile_inputs];
        for (int i = 0; i < tile_inputs; ++i) column[i] = load(pixels[i][j] ? pixels[i][j] + c : outside);
        spread_axis(column, spread_column);
        for (int i = 0; i < tile_inputs; ++i) half[i][j] = spread_column[i];
      }
      for (int i = 0; i < tile_inputs; ++i) {
        Lanes row[tile_inputs];
        spread_axis(half[i], row);
        for (int j = 0; j < tile_inputs; ++j) store(out + ((i * tile_inputs + j) * count + t) * channels + c, row[j]);
      }
    }
  }
}

void gather(const float* products, Images shape, int64_t first, int64_t count, Finish finish, float* out) {
  const int64_t channels = shape.channels;
  const Lanes least = all(finish.floor);
  for (int64_t t = 0; t < count; ++t) {
    const Corner start = corner(shape, first + t);
    const int64_t rows = shape.height - start.y < tile_outputs ? shape.height - start.y : tile_outputs;
    const int64_t columns = shape.width - start.x < tile_outputs ? shape.width - start.x : tile_outputs;
    for (int64_t c = 0; c < channels; c += kLanes) {
      const Lanes bias = finish.bias ? load(finish.bias + c) : all(0.0f);
      Lanes half[tile_outputs][tile_inputs];
      for (int j = 0; j < tile_inputs; ++j) {
        Lanes column[tile_inputs], gathered[tile_outputs];
        for (int i = 0; i < tile_inputs; ++i) {
          column[i] = load(products + ((i * tile_inputs + j) * count + t) * channels + c);
        }
        gather_axis(column, gathered);
        for (int i = 0; i < tile_outputs; ++i) half[i][j] = gathered[i];
      }
      for (int64_t i = 0; i < rows; ++i) {
        Lanes row[tile_outputs];
        gather_axis(half[i], row);
        for (int64_t j = 0; j < columns; ++j) {
          const int64_t place = ((start.image * shape.height + start.y + i) * shape.width + start.x + j) * channels + c;
          Lanes sum = row[j] + bias;
          if (finish.residual) sum = sum + load(finish.residual + place);
          store(out + place, larger(least, sum));
        }
      }
    }
  }
}

}  // namespace

extern const ConvTable conv_table = {multiply, spread, gather};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
