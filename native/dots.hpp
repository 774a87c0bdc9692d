// Sums of products of bytes: in each of sixteen lanes, four unsigned ones by four signed ones at a time. Exact.
#pragma once

#include "fma.hpp"

namespace mlpress {
namespace MLPRESS_ISA {

#if defined(MLPRESS_AVX512)

struct Sums {
  __m512i v;
};

// Four bytes, the same in each lane.
struct Four {
  __m512i v;
};

struct Weights {
  __m512i v;
};

constexpr int kDotRows = 14, kDotLanes = 2;  // 28 of 32 registers hold sums

static inline Sums load_sums(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
static inline Weights load_weights(const int8_t* p) { return {_mm512_loadu_si512(p)}; }
static inline Four load_four(const uint8_t* p) {
  int32_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  return {_mm512_set1_epi32(bytes)};
}
static inline Sums add_dot(Sums sums, Four x, Weights w) { return {_mm512_dpbusd_epi32(sums.v, x.v, w.v)}; }
static inline Lanes to_lanes(Sums sums) { return {_mm512_cvtepi32_ps(sums.v)}; }
static inline Sums to_whole(Lanes a) { return {_mm512_cvtps_epi32(a.v)}; }

// Stores two rows of 32 codes: whole numbers plus `zero`, cut off at `low` and `high`.
static inline void store_rows(uint8_t* first, uint8_t* second, Sums a0, Sums a1, Sums b0, Sums b1, int zero, int low,
                              int high) {
  const __m512i more = _mm512_set1_epi16(static_cast<int16_t>(zero));
  const __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(a0.v, a1.v), more);
  const __m512i b = _mm512_adds_epi16(_mm512_packs_epi32(b0.v, b1.v), more);
  __m512i codes = _mm512_packus_epi16(a, b);
  codes = _mm512_max_epu8(codes, _mm512_set1_epi8(static_cast<int8_t>(low)));
  codes = _mm512_min_epu8(codes, _mm512_set1_epi8(static_cast<int8_t>(high)));
  // Packing goes by quarters of a vector.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  codes = _mm512_permutexvar_epi32(order, codes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(first), _mm512_castsi512_si256(codes));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(second), _mm512_extracti64x4_epi64(codes, 1));
}

#elif defined(MLPRESS_AVX2)

struct Sums {
  __m256i a, b;
};

// Bytes 0 and 2, and 1 and 3, as 16-bit numbers: products of bytes would be cut off at 16 bits.
struct Four {
  __m256i even, odd;
};

struct Weights {
  Four a, b;
};

constexpr int kDotRows = 4, kDotLanes = 1;  // 8 of 16

static inline Sums load_sums(const int32_t* p) {
  const __m256i* q = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
static inline Weights load_weights(const int8_t* p) {
  const auto widened = [](const int8_t* from) -> Four {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
  };
  return {widened(p), widened(p + 32)};
}
static inline Four load_four(const uint8_t* p) {
  int32_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  const __m256i all_bytes = _mm256_set1_epi32(bytes);
  return {_mm256_and_si256(all_bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(all_bytes, 8)};
}
static inline Sums add_dot(Sums sums, Four x, Weights w) {
  const auto dot = [x](__m256i sum, Four weights) {
    return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(x.even, weights.even),
                                                  _mm256_madd_epi16(x.odd, weights.odd)));
  };
  return {dot(sums.a, w.a), dot(sums.b, w.b)};
}
static inline Lanes to_lanes(Sums sums) { return {_mm256_cvtepi32_ps(sums.a), _mm256_cvtepi32_ps(sums.b)}; }
static inline Sums to_whole(Lanes x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }

#else

struct Sums {
  int32_t v[kLanes];
};

struct Four {
  uint8_t v[4];
};

struct Weights {
  int8_t v[4 * kLanes];
};

constexpr int kDotRows = 2, kDotLanes = 1;

static inline Sums load_sums(const int32_t* p) {
  Sums r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline Weights load_weights(const int8_t* p) {
  Weights r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline Four load_four(const uint8_t* p) {
  Four r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline Sums add_dot(Sums sums, Four x, Weights w) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < 4; ++j) sums.v[i] += x.v[j] * w.v[4 * i + j];
  }
  return sums;
}
static inline Lanes to_lanes(Sums sums) {
  Lanes r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = static_cast<float>(sums.v[i]);
  return r;
}
static inline Sums to_whole(Lanes a) {
  const Lanes rounded = round(a);
  Sums r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = static_cast<int32_t>(rounded.v[i]);
  return r;
}

#endif

}  // namespace MLPRESS_ISA
}  // namespace mlpress
