#include "masks.hpp"

#include <string.h>

#ifdef MLPRESS_AVX2
#include <immintrin.h>
#endif

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

constexpr uint16_t magnitude_of(uint16_t bits) { return bits & 0x7fff; }
constexpr uint32_t magnitude_of(uint32_t bits) { return bits & 0x7fffffff; }

template <typename Bits>
constexpr Bits infinity = static_cast<Bits>(sizeof(Bits) == 2 ? 0x7c00u : 0x7f800000u);

template <typename Bits>
void count_upper(const Bits* values, int64_t count, int64_t* counts) {
  constexpr int shift = 8 * sizeof(Bits) - 16;
  // Neighbours are often equal; two tables keep an increment from waiting for the one before it.
  int64_t i = 0;
  int64_t* odd = counts + kUpperBins;
  for (; i + 2 <= count; i += 2) {
    ++counts[magnitude_of(values[i]) >> shift];
    ++odd[magnitude_of(values[i + 1]) >> shift];
  }
  if (i < count) ++counts[magnitude_of(values[i]) >> shift];
}

template <typename Bits>
void count_lower(const Bits* values, int64_t count, uint32_t upper, int64_t* counts) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t magnitude = magnitude_of(values[i]);
    if (magnitude >> 16 == upper) ++counts[magnitude & 0xffffu];
  }
}

template <typename Bits>
int64_t count_non_finite(const Bits* values, int64_t count) {
  int64_t total = 0;
  for (int64_t i = 0; i < count;) {
    // Few enough at a time for a counter as narrow as the values, which makes wide vectors.
    const int64_t end = count - i > 32768 ? i + 32768 : count;
    Bits some = 0;
    for (; i < end; ++i) some = static_cast<Bits>(some + (magnitude_of(values[i]) >= infinity<Bits>));
    total += some;
  }
  return total;
}

// Eight values' bits.
template <typename Bits>
uint8_t byte_above(const Bits* values, int count, Bits threshold) {
  unsigned byte = 0;
  for (int b = 0; b < count; ++b) byte |= static_cast<unsigned>(magnitude_of(values[b]) > threshold) << b;
  return static_cast<uint8_t>(byte);
}

// Fills as many whole bytes as vectors can, and says how many values that were.
int64_t vectors_above(const uint16_t* values, int64_t count, uint16_t threshold, uint8_t* packed) {
  int64_t i = 0;
#if defined(MLPRESS_AVX512)
  const __m512i mask = _mm512_set1_epi16(0x7fff), bound = _mm512_set1_epi16(static_cast<short>(threshold));
  for (; i + 32 <= count; i += 32) {
    const __m512i magnitude = _mm512_and_si512(_mm512_loadu_si512(values + i), mask);
    const uint32_t bits = _mm512_cmpgt_epi16_mask(magnitude, bound);
    memcpy(packed + i / 8, &bits, sizeof bits);
  }
#elif defined(MLPRESS_AVX2)
  const __m256i mask = _mm256_set1_epi16(0x7fff), bound = _mm256_set1_epi16(static_cast<short>(threshold));
  for (; i + 32 <= count; i += 32) {
    const __m256i* from = reinterpret_cast<const __m256i*>(values + i);
    const __m256i a = _mm256_cmpgt_epi16(_mm256_and_si256(_mm256_loadu_si256(from), mask), bound);
    const __m256i b = _mm256_cmpgt_epi16(_mm256_and_si256(_mm256_loadu_si256(from + 1), mask), bound);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8);
    const uint32_t bits = static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
    memcpy(packed + i / 8, &bits, sizeof bits);
  }
#else
  (void)values, (void)count, (void)threshold, (void)packed;
#endif
  return i;
}

int64_t vectors_above(const uint32_t* values, int64_t count, uint32_t threshold, uint8_t* packed) {
  int64_t i = 0;
#if defined(MLPRESS_AVX512)
  const __m512i mask = _mm512_set1_epi32(0x7fffffff), bound = _mm512_set1_epi32(static_cast<int>(threshold));
  for (; i + 16 <= count; i += 16) {
    const __m512i magnitude = _mm512_and_si512(_mm512_loadu_si512(values + i), mask);
    const uint16_t bits = _mm512_cmpgt_epi32_mask(magnitude, bound);
    memcpy(packed + i / 8, &bits, sizeof bits);
  }
#elif defined(MLPRESS_AVX2)
  const __m256i mask = _mm256_set1_epi32(0x7fffffff), bound = _mm256_set1_epi32(static_cast<int>(threshold));
  for (; i + 8 <= count; i += 8) {
    const __m256i magnitude =
        _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i)), mask);
    const __m256i above = _mm256_cmpgt_epi32(magnitude, bound);
    packed[i / 8] = static_cast<uint8_t>(_mm256_movemask_ps(_mm256_castsi256_ps(above)));
  }
#else
  (void)values, (void)count, (void)threshold, (void)packed;
#endif
  return i;
}

template <typename Bits>
void magnitude_above(const Bits* values, int64_t count, Bits threshold, uint8_t* packed) {
  for (int64_t i = vectors_above(values, count, threshold, packed); i < count; i += 8) {
    packed[i / 8] = byte_above(values + i, count - i < 8 ? static_cast<int>(count - i) : 8, threshold);
  }
}

// Groups side by side, so that comparisons run over a row of them.
constexpr int kTile = 64;

template <typename Bits>
struct Tile {
  int64_t start[kTile];  // where each group's first channel is
  int present[kTile];    // how many channels it has; those that are missing count as zeros
  Bits magnitude[kLargestComparedGroup][kTile];
  Bits before[kLargestComparedGroup][kTile];
  int groups;
};

// How many of its group come before each value: smaller ones, and equal ones at a lower channel.
template <typename Bits>
void rank(Tile<Bits>& tile, int m) {
  memset(tile.before, 0, sizeof tile.before[0] * static_cast<size_t>(m));
  for (int i = 1; i < m; ++i) {
    for (int j = 0; j < i; ++j) {
      for (int t = 0; t < kTile; ++t) {
        const Bits later_first = tile.magnitude[i][t] < tile.magnitude[j][t];
        tile.before[j][t] = static_cast<Bits>(tile.before[j][t] + later_first);
        tile.before[i][t] = static_cast<Bits>(tile.before[i][t] + (1 - later_first));
      }
    }
  }
}

template <typename Bits>
void prune(Tile<Bits>& tile, const Bits* values, int64_t stride, int n, int m, uint8_t* keep) {
  for (int t = 0; t < tile.groups; ++t) {
    const Bits* group = values + tile.start[t];
    for (int k = 0; k < m; ++k) tile.magnitude[k][t] = k < tile.present[t] ? magnitude_of(group[k * stride]) : Bits{0};
  }
  rank(tile, m);
  for (int t = 0; t < tile.groups; ++t) {
    uint8_t* group = keep + tile.start[t];
    for (int k = 0; k < tile.present[t]; ++k) {
      group[k * stride] = static_cast<uint8_t>((tile.before[k][t] >= static_cast<Bits>(n)) & (tile.magnitude[k][t] != 0));
    }
  }
  tile.groups = 0;
}

template <typename Bits>
void n_of_m(const Bits* values, int64_t outer, int64_t channels, int64_t inner, int n, int m, uint8_t* keep) {
  Tile<Bits> tile = {};
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t c = 0; c < channels; c += m) {
      for (int64_t i = 0; i < inner; ++i) {
        tile.start[tile.groups] = (o * channels + c) * inner + i;
        tile.present[tile.groups] = channels - c < m ? static_cast<int>(channels - c) : m;
        if (++tile.groups == kTile) prune(tile, values, inner, n, m, keep);
      }
    }
  }
  prune(tile, values, inner, n, m, keep);
}

template <typename Bits>
constexpr MasksOf<Bits> table() {
  return {count_upper<Bits>, count_lower<Bits>, count_non_finite<Bits>, magnitude_above<Bits>, n_of_m<Bits>};
}

}  // namespace

extern const MasksTable masks_table;
const MasksTable masks_table = {table<uint16_t>(), table<uint32_t>()};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
