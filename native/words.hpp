// Sixteen 32-bit words at a time, out of which packed elements are taken.
#pragma once

#include "fma.hpp"

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
// The same of pieces of three bytes, 48 in all; the highest byte of a word is anything.
static inline Words load_words_of_three_bytes(const uint8_t* p) {
  alignas(64) static const uint8_t places[64] = {
      0,  1,  2,  0, 3,  4,  5,  0, 6,  7,  8,  0, 9,  10, 11, 0, 12, 13, 14, 0, 15, 16,
      17, 0,  18, 19, 20, 0, 21, 22, 23, 0, 24, 25, 26, 0, 27, 28, 29, 0, 30, 31, 32, 0,
      33, 34, 35, 0, 36, 37, 38, 0, 39, 40, 41, 0, 42, 43, 44, 0, 45, 46, 47, 0};
  const __m512i bytes = _mm512_maskz_loadu_epi8((1ull << 48) - 1, p);
  return {_mm512_permutexvar_epi8(_mm512_load_si512(places), bytes)};
}
// The table's entry whose number is in the low four bits of each word.
static inline Lanes look_up(Lanes table, Words a) { return {_mm512_permutexvar_ps(a.v, table.v)}; }
static inline Lanes look_up(const Lanes (&table)[1], Words a) { return look_up(table[0], a); }
// In the low six bits.
static inline Lanes look_up(const Lanes (&table)[4], Words a) {
  const __m512 low = _mm512_permutex2var_ps(table[0].v, a.v, table[1].v);
  const __m512 high = _mm512_permutex2var_ps(table[2].v, a.v, table[3].v);
  return {_mm512_mask_blend_ps(_mm512_test_epi32_mask(a.v, _mm512_set1_epi32(32)), low, high)};
}

// The lowest byte of each word as a number.
static inline Lanes low_bytes(Words a) {
  return {_mm512_cvtepi32_ps(_mm512_and_si512(a.v, _mm512_set1_epi32(0xff)))};
}
static inline Lanes low_signed_bytes(Words a) {
  return {_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(a.v, 24), 24))};
}
static inline Lanes choose(uint32_t lanes, Lanes yes, Lanes no) {
  return {_mm512_mask_blend_ps(static_cast<__mmask16>(lanes), no.v, yes.v)};
}
static inline Words as_words(Lanes a) { return {_mm512_castps_si512(a.v)}; }
static inline Lanes as_lanes(Words a) { return {_mm512_castsi512_ps(a.v)}; }
// Word j of number i becomes word i of number j.
static inline void transpose(Words (&x)[16]) {
  __m512i pairs[16], fours[16];
  MLPRESS_UNROLL
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(x[i].v, x[i + 1].v);
    pairs[i + 1] = _mm512_unpackhi_epi32(x[i].v, x[i + 1].v);
  }
  MLPRESS_UNROLL
  for (int i = 0; i < 16; i += 4) {
    fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  MLPRESS_UNROLL
  for (int i = 0; i < 4; ++i) {
    const __m512i low = _mm512_shuffle_i32x4(fours[i], fours[4 + i], 0x44);
    const __m512i high = _mm512_shuffle_i32x4(fours[i], fours[4 + i], 0xee);
    const __m512i far_low = _mm512_shuffle_i32x4(fours[8 + i], fours[12 + i], 0x44);
    const __m512i far_high = _mm512_shuffle_i32x4(fours[8 + i], fours[12 + i], 0xee);
    x[i].v = _mm512_shuffle_i32x4(low, far_low, 0x88);
    x[4 + i].v = _mm512_shuffle_i32x4(low, far_low, 0xdd);
    x[8 + i].v = _mm512_shuffle_i32x4(high, far_high, 0x88);
    x[12 + i].v = _mm512_shuffle_i32x4(high, far_high, 0xdd);
  }
}

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

#if !defined(MLPRESS_AVX512)
static inline Words as_words(Lanes a) {
  Words words;
  memcpy(&words, &a, sizeof words);
  return words;
}
static inline Lanes as_lanes(Words a) {
  Lanes lanes;
  memcpy(&lanes, &a, sizeof lanes);
  return lanes;
}
static inline Lanes low_bytes(Words a) {
  uint32_t words[kLanes];
  float values[kLanes];
  memcpy(words, &a, sizeof words);
  for (int i = 0; i < kLanes; ++i) values[i] = static_cast<float>(words[i] & 0xff);
  return load(values);
}
static inline Lanes low_signed_bytes(Words a) {
  uint32_t words[kLanes];
  float values[kLanes];
  memcpy(words, &a, sizeof words);
  for (int i = 0; i < kLanes; ++i) values[i] = static_cast<float>(static_cast<int8_t>(words[i] & 0xff));
  return load(values);
}
static inline Lanes choose(uint32_t lanes, Lanes yes, Lanes no) {
  float values[kLanes], others[kLanes];
  store(values, yes);
  store(others, no);
  for (int i = 0; i < kLanes; ++i) values[i] = lanes >> i & 1 ? values[i] : others[i];
  return load(values);
}
static inline void transpose(Words (&x)[16]) {
  uint32_t from[16][16], to[16][16];
  memcpy(from, x, sizeof from);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) to[j][i] = from[i][j];
  }
  memcpy(x, to, sizeof to);
}
static inline Words load_words_of_three_bytes(const uint8_t* p) {
  uint8_t words[4 * kLanes] = {};
  for (int i = 0; i < kLanes; ++i) memcpy(words + 4 * i, p + 3 * i, 3);
  return load_words(words);
}
static inline Lanes look_up(const Lanes (&table)[1], Words a) { return look_up(table[0], a); }
static inline Lanes look_up(const Lanes (&table)[4], Words a) {
  float entries[4 * kLanes], found[kLanes];
  uint32_t numbers[kLanes];
  for (int i = 0; i < 4; ++i) store(entries + kLanes * i, table[i]);
  memcpy(numbers, &a, sizeof numbers);
  for (int i = 0; i < kLanes; ++i) found[i] = entries[numbers[i] & 63];
  return load(found);
}
#endif

}  // namespace MLPRESS_ISA
}  // namespace mlpress
