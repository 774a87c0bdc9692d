// Products of a few rows by a few columns, whose sums stay in registers.
#pragma once

#include "conv.hpp"
#include "fma.hpp"

namespace mlpress {
namespace MLPRESS_ISA {

// What of the matrix is read after the current panel. The tiles of a panel share in asking for it: memory answers in
// time if it is asked all along, and would hold up the first tile of the next panel otherwise.
struct Ahead {
  const float* next;
  int64_t step;  // how much is asked for while a tile adds one product to each sum
};

// `kRows` rows by `kWide` lanes of the product, held in registers from first to last. `later` is the residual of the tile
// that comes next, or null.
template <int kRows, int kWide>
static inline void multiply_tile(const float* a, int64_t a_step, int64_t k, const float* b, int64_t b_step, Ahead ahead,
                                 Finish finish, const float* later, int64_t step, float* out) {
  Lanes sums[kRows][kWide];
  for (int w = 0; w < kWide; ++w) {
    const Lanes bias = finish.bias ? load(finish.bias + w * kLanes) : all(0.0f);
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r][w] = bias;
  }
  if (finish.residual) {
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) {
      for (int w = 0; w < kWide; ++w) sums[r][w] = sums[r][w] + load(finish.residual + r * step + w * kLanes);
    }
  }
  const float* next = a + kRows * a_step;
  for (int64_t i = 0; i < k; ++i, b += b_step, next += kLanes) {
    prefetch(next);
    for (int w = 0; w < kWide; ++w) prefetch_far(ahead.next + w * kLanes);
    ahead.next += ahead.step;
    // A row at a time: memory takes only so many requests, and would keep the factors waiting behind them.
    if (i < kRows) {
      for (int w = 0; w < kWide; ++w) {
        prefetch(out + i * step + w * kLanes);
        if (later) prefetch(later + i * step + w * kLanes);
      }
    }
    Lanes columns[kWide];
    for (int w = 0; w < kWide; ++w) columns[w] = load(b + w * kLanes);
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Lanes x = all(a[r * a_step + i]);
      for (int w = 0; w < kWide; ++w) sums[r][w] = fma(x, columns[w], sums[r][w]);
    }
  }
  const Lanes least = all(finish.floor);
  MLPRESS_UNROLL
  for (int r = 0; r < kRows; ++r) {
    // In this order of operands NaN stays NaN.
    for (int w = 0; w < kWide; ++w) store(out + r * step + w * kLanes, larger(least, sums[r][w]));
  }
}

using MultiplyTile = void (*)(const float*, int64_t, int64_t, const float*, int64_t, Ahead, Finish, const float*, int64_t,
                              float*);

// The variant for 1 to kMost rows.
template <int kMost, int kWide>
static inline MultiplyTile tile_of(int64_t rows) {
  if constexpr (kMost == 1) {
    return multiply_tile<1, kWide>;
  } else {
    return rows == kMost ? multiply_tile<kMost, kWide> : tile_of<kMost - 1, kWide>(rows);
  }
}

}  // namespace MLPRESS_ISA
}  // namespace mlpress
