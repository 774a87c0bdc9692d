// Sixteen 32-bit words at a time, out of which packed elements are taken.
#pragma once

#include "lanes.hpp"

namespace mlpress {
namespace MLPRESS_ISA {

#if defined(MLPRESS_AVX512)

struct Words {
  __m512i v;
};

static inline Words load_words(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
template <int count>
static inline Words shift_right(Words a) {
  return {_mm512_srli_epi32(a.v, count)};
}
// The table's entry whose number is in the low four bits of each word.
static inline Lanes look_up(Lanes table, Words a) { return {_mm512_permutexvar_ps(a.v, table.v)}; }

#elif defined(MLPRESS_AVX2)

struct Words {
  __m256i a, b;
};

static inline Words load_words(const uint8_t* p) {
  const __m256i* q = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
template <int count>
static inline Words shift_right(Words x) {
  return {_mm256_srli_epi32(x.a, count), _mm256_srli_epi32(x.b, count)};
}
static inline __m256 look_up_half(Lanes table, __m256i numbers) {
  const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(numbers, 28));  // the fourth bit becomes the sign
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.a, numbers), _mm256_permutevar8x32_ps(table.b, numbers), upper);
}
static inline Lanes look_up(Lanes table, Words x) { return {look_up_half(table, x.a), look_up_half(table, x.b)}; }

#else

struct Words {
  uint32_t v[kLanes];
};

static inline Words load_words(const uint8_t* p) {
  Words words;
  for (int i = 0; i < kLanes; ++i, p += 4) {
    words.v[i] = p[0] | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
                 static_cast<uint32_t>(p[3]) << 24;
  }
  return words;
}
template <int count>
static inline Words shift_right(Words a) {
  for (int i = 0; i < kLanes; ++i) a.v[i] >>= count;
  return a;
}
static inline Lanes look_up(Lanes table, Words a) {
  Lanes found;
  for (int i = 0; i < kLanes; ++i) found.v[i] = table.v[a.v[i] & 15];
  return found;
}

#endif

}  // namespace MLPRESS_ISA
}  // namespace mlpress
