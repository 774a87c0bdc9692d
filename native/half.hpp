// IEEE 754 half precision as bits. Everything lives in the namespace of the instruction set that compiles it.
#pragma once

#include <stdint.h>
#include <string.h>

#include "isa.hpp"
#ifdef MLPRESS_AVX2
#include <immintrin.h>
#endif

namespace mlpress {
namespace MLPRESS_ISA {

static inline float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Exact, NaN and infinity included.
static inline float half_to_float(uint16_t half) {
#ifdef MLPRESS_AVX2
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
#else
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return bits_float(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  // 2^112 moves the exponent's bias from 15 to 127; subnormals come out right because the product is exact.
  return bits_float(sign | float_bits(bits_float(magnitude << 13) * 5.192296858534828e33f));
#endif
}

// Rounds to nearest, ties to even; overflow gives infinity.
static inline uint16_t float_to_half(float value) {
#ifdef MLPRESS_AVX2
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT)));
#else
  const uint32_t bits = float_bits(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Below 2^-14: adding 0.5 aligns the last bit kept with the float's last bit, and the addition rounds.
    const uint32_t sum = float_bits(bits_float(magnitude) + 0.5f);
    return static_cast<uint16_t>(sign | (sum - 0x3f000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
#endif
}

static inline void half_to_float_n(const uint16_t* halves, float* floats, int64_t count) {
  int64_t i = 0;
#ifdef MLPRESS_AVX2
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(floats + i,
                     _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i))));
  }
#endif
  for (; i < count; ++i) floats[i] = half_to_float(halves[i]);
}

static inline void float_to_half_n(const float* floats, uint16_t* halves, int64_t count) {
  int64_t i = 0;
#ifdef MLPRESS_AVX2
  for (; i + 8 <= count; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(floats + i), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
  for (; i < count; ++i) halves[i] = float_to_half(floats[i]);
}

}  // namespace MLPRESS_ISA
}  // namespace mlpress
