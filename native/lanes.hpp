// Sixteen floats at a time, with the same operations and the same roundings at every instruction set.
#pragma once

#include <stdint.h>
#include <string.h>

#include "half.hpp"
#include "isa.hpp"

#if defined(MLPRESS_AVX512) && defined(__GNUC__) && !defined(__clang__)
// GCC's own AVX-512 header trips over itself.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace mlpress {
namespace MLPRESS_ISA {

constexpr int kLanes = 16;

#if defined(MLPRESS_AVX512)

struct Lanes {
  __m512 v;
};

static inline Lanes all(float x) { return {_mm512_set1_ps(x)}; }
static inline Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
static inline void store(float* p, Lanes a) { _mm512_storeu_ps(p, a.v); }
static inline Lanes load_half(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
static inline void store_half(uint16_t* p, Lanes a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
static inline Lanes to_half(Lanes a) {
  return {_mm512_cvtph_ps(_mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT))};
}
static inline Lanes load_i8(const uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
static inline Lanes load_u8(const uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
static inline void store_bytes(uint8_t* p, Lanes a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
static inline Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline Lanes clamp(Lanes a, Lanes low, Lanes high) {
  return {_mm512_min_ps(_mm512_max_ps(a.v, low.v), high.v)};
}
static inline Lanes larger(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
static inline Lanes smaller(Lanes a, Lanes b) { return {_mm512_min_ps(a.v, b.v)}; }
static inline Lanes round(Lanes a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline Lanes where_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}

#elif defined(MLPRESS_AVX2)

struct Lanes {
  __m256 a, b;
};

static inline __m128i eight_bytes(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }

static inline Lanes all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static inline Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void store(float* p, Lanes x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
static inline Lanes load_half(const uint16_t* p) {
  const __m128i* q = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
static inline void store_half(uint16_t* p, Lanes x) {
  __m128i* q = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(q, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(q + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static inline Lanes to_half(Lanes x) {
  return {_mm256_cvtph_ps(_mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT)),
          _mm256_cvtph_ps(_mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT))};
}
static inline Lanes load_i8(const uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight_bytes(p))),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight_bytes(p + 8)))};
}
static inline Lanes load_u8(const uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight_bytes(p))),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight_bytes(p + 8)))};
}
static inline void store_bytes(uint8_t* p, Lanes x) {
  const __m256i low = _mm256_set1_epi32(0xff);  // so that the saturating packs only narrow
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256(_mm256_cvtps_epi32(x.a), low),
                                            _mm256_and_si256(_mm256_cvtps_epi32(x.b), low));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}
static inline Lanes operator+(Lanes x, Lanes y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
static inline Lanes operator-(Lanes x, Lanes y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
static inline Lanes operator*(Lanes x, Lanes y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
static inline Lanes operator/(Lanes x, Lanes y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
static inline Lanes clamp(Lanes x, Lanes low, Lanes high) {
  return {_mm256_min_ps(_mm256_max_ps(x.a, low.a), high.a), _mm256_min_ps(_mm256_max_ps(x.b, low.b), high.b)};
}
static inline Lanes larger(Lanes x, Lanes y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
static inline Lanes smaller(Lanes x, Lanes y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
static inline Lanes round(Lanes x) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, mode), _mm256_round_ps(x.b, mode)};
}
static inline Lanes where_less(Lanes x, Lanes y, Lanes yes, Lanes no) {
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
}

#else

// Plain loops over a fixed count, which compilers turn into the vectors of the machine.
struct Lanes {
  float v[kLanes];
};

#define MLPRESS_EACH_LANE(expression)                    \
  Lanes r;                                               \
  for (int i = 0; i < kLanes; ++i) r.v[i] = (expression); \
  return r;

static inline Lanes all(float x) { MLPRESS_EACH_LANE(x) }
// Copies, since the floats may be declared as their bits.
static inline Lanes load(const float* p) {
  Lanes r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline void store(float* p, Lanes a) { memcpy(p, a.v, sizeof a.v); }
static inline Lanes load_half(const uint16_t* p) { MLPRESS_EACH_LANE(half_to_float(p[i])) }
static inline void store_half(uint16_t* p, Lanes a) {
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_half(a.v[i]);
}
static inline Lanes to_half(Lanes a) { MLPRESS_EACH_LANE(half_to_float(float_to_half(a.v[i]))) }
static inline Lanes load_i8(const uint8_t* p) { MLPRESS_EACH_LANE(static_cast<float>(static_cast<int8_t>(p[i]))) }
static inline Lanes load_u8(const uint8_t* p) { MLPRESS_EACH_LANE(static_cast<float>(p[i])) }
static inline void store_bytes(uint8_t* p, Lanes a) {
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<uint8_t>(static_cast<int32_t>(a.v[i]));
}
static inline Lanes operator+(Lanes a, Lanes b) { MLPRESS_EACH_LANE(a.v[i] + b.v[i]) }
static inline Lanes operator-(Lanes a, Lanes b) { MLPRESS_EACH_LANE(a.v[i] - b.v[i]) }
static inline Lanes operator*(Lanes a, Lanes b) { MLPRESS_EACH_LANE(a.v[i] * b.v[i]) }
static inline Lanes operator/(Lanes a, Lanes b) { MLPRESS_EACH_LANE(a.v[i] / b.v[i]) }
static inline Lanes larger(Lanes a, Lanes b) { MLPRESS_EACH_LANE(a.v[i] > b.v[i] ? a.v[i] : b.v[i]) }
static inline Lanes smaller(Lanes a, Lanes b) { MLPRESS_EACH_LANE(a.v[i] < b.v[i] ? a.v[i] : b.v[i]) }
// NaN becomes the lower bound.
static inline Lanes clamp(Lanes a, Lanes low, Lanes high) {
  const Lanes raised = larger(a, low);
  MLPRESS_EACH_LANE(raised.v[i] < high.v[i] ? raised.v[i] : high.v[i])
}
// Half to even, for magnitudes below 2^22: the addition drops the fraction.
static inline Lanes round(Lanes a) { MLPRESS_EACH_LANE((a.v[i] + 12582912.0f) - 12582912.0f) }
static inline Lanes where_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
  MLPRESS_EACH_LANE(a.v[i] < b.v[i] ? yes.v[i] : no.v[i])
}

#undef MLPRESS_EACH_LANE

#endif

// Always adds in the same order.
static inline float sum(Lanes a) {
  float v[kLanes];
  store(v, a);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) v[i] += v[i + half];
  }
  return v[0];
}

// The sums of four, each the same as one alone.
#if defined(MLPRESS_AVX512)
static inline void four_sums(const Lanes (&x)[4], float (&to)[4]) {
  const auto halves = [](__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
  };
  const __m512 first = halves(x[0].v, x[1].v), second = halves(x[2].v, x[3].v);
  __m512 r = _mm512_add_ps(_mm512_shuffle_f32x4(first, second, 0x88), _mm512_shuffle_f32x4(first, second, 0xdd));
  r = _mm512_add_ps(r, _mm512_permute_ps(r, 0x4e));
  r = _mm512_add_ps(r, _mm512_permute_ps(r, 0xb1));
  const __m512i each = _mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12));
  _mm_storeu_ps(to, _mm512_castps512_ps128(_mm512_permutexvar_ps(each, r)));
}
#else
static inline void four_sums(const Lanes (&x)[4], float (&to)[4]) {
  for (int i = 0; i < 4; ++i) to[i] = sum(x[i]);
}
#endif

}  // namespace MLPRESS_ISA
}  // namespace mlpress
