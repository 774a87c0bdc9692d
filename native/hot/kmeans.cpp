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

#if defined(MLPRESS_AVX512)

// A binary search in a register, for 32 values at a time.
template <int depth>
int64_t rank_depth(const uint16_t* values, int64_t count, const int16_t* padded, uint8_t* out) {
  const __m512i table = _mm512_maskz_loadu_epi16((1u << ((1 << depth) - 1)) - 1, padded);
  const __m512i magnitude = _mm512_set1_epi16(0x7fff);
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m512i bits = _mm512_loadu_si512(values + i);
    const __m512i order = _mm512_xor_si512(bits, _mm512_and_si512(_mm512_srai_epi16(bits, 15), magnitude));
    __m512i rank = _mm512_setzero_si512();
    for (int step = 1 << depth >> 1; step > 0; step >>= 1) {
      const __m512i place = _mm512_add_epi16(rank, _mm512_set1_epi16(static_cast<int16_t>(step - 1)));
      const __mmask32 above = _mm512_cmpgt_epi16_mask(order, _mm512_permutexvar_epi16(place, table));
      rank = _mm512_mask_add_epi16(rank, above, rank, _mm512_set1_epi16(static_cast<int16_t>(step)));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm512_cvtepi16_epi8(rank));
  }
  return i;
}

// Up to `few` thresholds, padded. Returns how many values were done.
int64_t rank_wide(const uint16_t* values, int64_t count, const int16_t* padded, int depth, uint8_t* out) {
  switch (depth) {
    case 1: return rank_depth<1>(values, count, padded, out);
    case 2: return rank_depth<2>(values, count, padded, out);
    case 3: return rank_depth<3>(values, count, padded, out);
    case 4: return rank_depth<4>(values, count, padded, out);
    default: return 0;
  }
}

#elif defined(MLPRESS_AVX2)

// Up to `few` thresholds, padded: compares 64 values at a time with each of them. Returns how many were done.
int64_t rank_wide(const uint16_t* values, int64_t count, const int16_t* padded, int depth, uint8_t* out) {
  const __m256i magnitude = _mm256_set1_epi16(0x7fff);
  const int size = (1 << depth) - 1;
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m256i* source = reinterpret_cast<const __m256i*>(values + i);
    __m256i order[4], rank[4];
    for (int q = 0; q < 4; ++q) {
      const __m256i bits = _mm256_loadu_si256(source + q);
      order[q] = _mm256_xor_si256(bits, _mm256_and_si256(_mm256_srai_epi16(bits, 15), magnitude));
      rank[q] = _mm256_setzero_si256();
    }
    for (int t = 0; t < size; ++t) {
      const __m256i threshold = _mm256_set1_epi16(padded[t]);
      for (int q = 0; q < 4; ++q) rank[q] = _mm256_sub_epi16(rank[q], _mm256_cmpgt_epi16(order[q], threshold));
    }
    __m256i* target = reinterpret_cast<__m256i*>(out + i);
    for (int q = 0; q < 4; q += 2) {
      const __m256i bytes = _mm256_packus_epi16(rank[q], rank[q + 1]);
      _mm256_storeu_si256(target + q / 2, _mm256_permute4x64_epi64(bytes, 0xd8));
    }
  }
  return i;
}

#else

int64_t rank_wide(const uint16_t*, int64_t, const int16_t*, int, uint8_t*) { return 0; }

#endif

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
  const int64_t done = size <= few ? rank_wide(values, count, padded, depth, out) : 0;
  for (int64_t start = done; start < count; start += block_size) {
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
