#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// float16 is uint16_t, float32 is uint32_t; what orders them is their magnitude, the bits without the sign.
template <typename Bits>
struct MasksOf {
  // counts[b] + counts[b + kUpperBins] grow by the number of values whose magnitude is b (float16), or has b as its
  // upper 15 bits (float32).
  void (*count_upper)(const Bits* values, int64_t count, int64_t* counts);
  // counts[b] += the number of values whose magnitude has the given upper 15 bits and b as its lower 16.
  void (*count_lower)(const Bits* values, int64_t count, uint32_t upper, int64_t* counts);
  int64_t (*count_non_finite)(const Bits* values, int64_t count);
  // One bit a value, 1 where the magnitude is above the threshold's.
  void (*magnitude_above)(const Bits* values, int64_t count, Bits threshold, uint8_t* packed);
  // One byte a value of [outer, channels, inner]: 0 for zeros and for the n smallest of each m channels.
  void (*n_of_m)(const Bits* values, int64_t outer, int64_t channels, int64_t inner, int n, int m, uint8_t* keep);
};

struct MasksTable {
  MasksOf<uint16_t> half;
  MasksOf<uint32_t> single;
};

constexpr int kUpperBins = 1 << 15;
constexpr int kLowerBins = 1 << 16;
constexpr int kLargestComparedGroup = 32;

}  // namespace mlpress

MLPRESS_DISPATCH(MasksTable, masks)
