#include "kmeans.hpp"

#include <string.h>

#include "half.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

int64_t nonfinite_half(const uint16_t* values, int64_t count) {
  int64_t total = 0;
  for (int64_t start = 0; start < count; start += 32768) {
    const int64_t stop = count - start < 32768 ? count : start + 32768;
    uint16_t found = 0;
    for (int64_t i = start; i < stop; ++i) found = static_cast<uint16_t>(found + ((values[i] & 0x7c00) == 0x7c00));
    total += found;
  }
  return total;
}

int64_t nonfinite_float(const float* values, int64_t count) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t exponent = float_bits(values[i]) & 0x7f800000u;
    total += exponent == 0x7f800000u;
  }
  return total;
}

void histogram_half(const uint16_t* values, int64_t count, uint32_t* counts) {
  for (int64_t i = 0; i < count; ++i) ++counts[values[i]];
}

constexpr int64_t block_size = 256;
constexpr int few = 15;

// Up to `few` thresholds: compare with each of them, a block of values at a time so that the ranks stay in registers
// or the first cache. Wide is an integer as wide as T, so that both fill the same number of vectors.
template <typename T, typename Wide>
void rank_block(const T* values, int64_t count, const T* thresholds, int size, uint8_t* out) {
  Wide ranks[block_size] = {0};
  for (int t = 0; t < size; ++t) {
    const T threshold = thresholds[t];
    for (int64_t i = 0; i < count; ++i) ranks[i] = static_cast<Wide>(ranks[i] + (values[i] > threshold));
  }
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(ranks[i]);
}

// Any number of thresholds: a binary search without branches in a table padded to 2^depth - 1 entries.
template <typename T>
void rank_search(const T* values, int64_t count, const T* padded, int depth, uint8_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    int rank = 0;
    for (int step = 1 << (depth - 1); step > 0; step >>= 1) {
      rank += padded[rank + step - 1] < values[i] ? step : 0;
    }
    out[i] = static_cast<uint8_t>(rank);
  }
}

// The padding repeats the largest value of T, which no value exceeds.
template <typename T>
int pad(const T* thresholds, int size, T largest, T* padded) {
  int depth = 0;
  while ((1 << depth) - 1 < size) ++depth;
  for (int t = 0; t < (1 << depth) - 1; ++t) padded[t] = t < size ? thresholds[t] : largest;
  return depth;
}

void rank_half(const uint16_t* values, int64_t count, const int16_t* thresholds, int size, uint8_t* out) {
  int16_t padded[255];
  const int depth = pad<int16_t>(thresholds, size, 0x7fff, padded);
  for (int64_t start = 0; start < count; start += block_size) {
    const int64_t length = count - start < block_size ? count - start : block_size;
    int16_t orders[block_size];
    for (int64_t i = 0; i < length; ++i) {
      const int16_t bits = static_cast<int16_t>(values[start + i]);
      orders[i] = static_cast<int16_t>(bits ^ ((bits >> 15) & 0x7fff));
    }
    if (size <= few) rank_block<int16_t, int16_t>(orders, length, thresholds, size, out + start);
    else rank_search(orders, length, padded, depth, out + start);
  }
}

void map_half(const uint16_t* values, int64_t count, const uint8_t* ranks, uint8_t* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = ranks[values[i]];
}

void rank_float(const float* values, int64_t count, const float* thresholds, int size, uint8_t* out) {
  float padded[255];
  const int depth = pad<float>(thresholds, size, 3.4028234663852886e38f, padded);
  for (int64_t start = 0; start < count; start += block_size) {
    const int64_t length = count - start < block_size ? count - start : block_size;
    if (size <= few) rank_block<float, int32_t>(values + start, length, thresholds, size, out + start);
    else rank_search(values + start, length, padded, depth, out + start);
  }
}

}  // namespace

extern const KmeansTable kmeans_table;
const KmeansTable kmeans_table = {nonfinite_half, nonfinite_float, histogram_half, rank_half, map_half,
                                  rank_float};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
