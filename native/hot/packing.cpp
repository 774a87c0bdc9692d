#include "packing.hpp"

#include <string.h>

#include "half.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

// Loads and stores of little-endian words at any address. `bytes` is at most 8.
uint64_t load_word(const uint8_t* bytes, int64_t count) {
  uint64_t word = 0;
  for (int64_t i = 0; i < count; ++i) word |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return word;
}

void store_word(uint64_t word, uint8_t* bytes, int64_t count) {
  for (int64_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(word >> (8 * i));
}

constexpr uint64_t repeat(uint64_t pattern, int period) {
  uint64_t word = 0;
  for (int shift = 0; shift < 64; shift += period) word |= pattern << shift;
  return word;
}

constexpr uint64_t low_bits(int count) { return (uint64_t{1} << count) - 1; }

// The low `nbits` bits of each field of `period` bits, for every other field, starting at field 0.
constexpr uint64_t fields(int nbits, int period) { return repeat(low_bits(nbits), 2 * period); }

// Eight bytes of nbits each -> 8 * nbits bits, by three rounds that move every other field next to its neighbour.
template <int nbits>
uint64_t squeeze(uint64_t word) {
  if (nbits == 8) return word;
  constexpr int n1 = nbits, n2 = 2 * nbits, n4 = 4 * nbits;
  word = (word & fields(n1, 8)) | ((word >> (8 - n1)) & (fields(n1, 8) << n1));
  word = (word & fields(n2, 16)) | ((word >> (16 - n2)) & (fields(n2, 16) << n2));
  return (word & fields(n4, 32)) | ((word >> (32 - n4)) & (fields(n4, 32) << n4));
}

// The inverse of squeeze.
template <int nbits>
uint64_t spread(uint64_t word) {
  if (nbits == 8) return word;
  constexpr int n1 = nbits, n2 = 2 * nbits, n4 = 4 * nbits;
  word = (word & fields(n4, 32)) | ((word << (32 - n4)) & (fields(n4, 32) << 32));
  word = (word & fields(n2, 16)) | ((word << (16 - n2)) & (fields(n2, 16) << 16));
  return (word & fields(n1, 8)) | ((word << (8 - n1)) & (fields(n1, 8) << 8));
}

#ifdef MLPRESS_AVX512

// Bytes 0 .. nbits-1 of each of the eight 64-bit lanes, one lane after the other (and the way back).
template <int nbits>
__m512i lane_bytes(bool back) {
  alignas(64) uint8_t order[64] = {0};
  for (int i = 0; i < 8 * nbits; ++i) {
    const int in_lanes = i / nbits * 8 + i % nbits;
    if (back) order[in_lanes] = static_cast<uint8_t>(i);
    else order[i] = static_cast<uint8_t>(in_lanes);
  }
  return _mm512_load_si512(order);
}

// One round of squeeze in each 64-bit lane.
template <int nbits, int period>
__m512i close_gaps(__m512i word) {
  const __m512i stay = _mm512_and_si512(word, _mm512_set1_epi64(static_cast<int64_t>(fields(nbits, period))));
  const __m512i move = _mm512_set1_epi64(static_cast<int64_t>(fields(nbits, period) << nbits));
  return _mm512_or_si512(stay, _mm512_and_si512(_mm512_srli_epi64(word, period - nbits), move));
}

template <int nbits>
int64_t pack_wide(const uint8_t* values, int64_t count, uint8_t* packed) {
  const __m512i order = lane_bytes<nbits>(false);
  const __mmask64 used = ~uint64_t{0} >> (64 - 8 * nbits);
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    __m512i word = _mm512_loadu_si512(values + i);
    word = close_gaps<nbits, 8>(word);
    word = close_gaps<2 * nbits, 16>(word);
    word = close_gaps<4 * nbits, 32>(word);
    _mm512_mask_storeu_epi8(packed + i / 8 * nbits, used, _mm512_permutexvar_epi8(order, word));
  }
  return i;
}

template <int nbits>
int64_t unpack_wide(const uint8_t* packed, int64_t count, uint8_t sign, uint8_t* values) {
  const __m512i order = lane_bytes<nbits>(true);
  const __mmask64 used = ~uint64_t{0} >> (64 - 8 * nbits);
  uint64_t starts = 0;
  for (int e = 0; e < 8; ++e) starts |= static_cast<uint64_t>(e * nbits) << (8 * e);
  const __m512i shifts = _mm512_set1_epi64(static_cast<int64_t>(starts));
  const __m512i low = _mm512_set1_epi8(static_cast<char>(low_bits(nbits)));
  const __m512i top = _mm512_set1_epi8(static_cast<char>(sign));
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    __m512i word = _mm512_maskz_loadu_epi8(used, packed + i / 8 * nbits);
    word = _mm512_permutexvar_epi8(order, word);
    word = _mm512_and_si512(_mm512_multishift_epi64_epi8(shifts, word), low);
    _mm512_storeu_si512(values + i, _mm512_sub_epi8(_mm512_xor_si512(word, top), top));
  }
  return i;
}

#elif defined(MLPRESS_AVX2)

// Packs 128 elements of 1, 2 or 4 bits at a time; other widths are left to the word loop.
template <int nbits>
int64_t pack_wide(const uint8_t* values, int64_t count, uint8_t* packed) {
  int64_t i = 0;
  if (nbits == 1) {
    for (; i + 32 <= count; i += 32) {
      const __m256i ones = _mm256_slli_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i)), 7);
      const uint32_t bits = static_cast<uint32_t>(_mm256_movemask_epi8(ones));
      memcpy(packed + i / 8, &bits, sizeof bits);
    }
  } else if (nbits == 4) {
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i pair = _mm256_set1_epi16(0x1001);
    for (; i + 64 <= count; i += 64) {
      const __m256i* source = reinterpret_cast<const __m256i*>(values + i);
      const __m256i a = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_loadu_si256(source), low), pair);
      const __m256i b = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_loadu_si256(source + 1), low), pair);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed + i / 2),
                          _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8));
    }
  } else if (nbits == 2) {
    const __m256i low = _mm256_set1_epi8(3);
    const __m256i pair = _mm256_set1_epi16(0x0401);
    const __m256i quad = _mm256_set1_epi32(0x00100001);
    const __m256i lanes = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (; i + 128 <= count; i += 128) {
      const __m256i* source = reinterpret_cast<const __m256i*>(values + i);
      __m256i word[4];
      for (int q = 0; q < 4; ++q) {
        word[q] = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_loadu_si256(source + q), low), pair);
        word[q] = _mm256_madd_epi16(word[q], quad);
      }
      const __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(word[0], word[1]),
                                                _mm256_packus_epi32(word[2], word[3]));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed + i / 4), _mm256_permutevar8x32_epi32(bytes, lanes));
    }
  }
  return i;
}

template <int nbits>
int64_t unpack_wide(const uint8_t* packed, int64_t count, uint8_t sign, uint8_t* values) {
  const __m256i top = _mm256_set1_epi8(static_cast<char>(sign));
  const auto store = [&](int64_t at, __m256i bytes) {
    bytes = _mm256_sub_epi8(_mm256_xor_si256(bytes, top), top);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + at), bytes);
  };
  int64_t i = 0;
  if (nbits == 1) {
    const __m256i byte_of = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                             2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit_of = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    for (; i + 32 <= count; i += 32) {
      int32_t bits;
      memcpy(&bits, packed + i / 8, sizeof bits);
      const __m256i bytes = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), byte_of), bit_of);
      store(i, _mm256_and_si256(_mm256_cmpeq_epi8(bytes, bit_of), _mm256_set1_epi8(1)));
    }
  } else if (nbits == 4) {
    const __m256i low = _mm256_set1_epi8(15);
    for (; i + 32 <= count; i += 32) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + i / 2));
      const __m256i pairs = _mm256_cvtepu8_epi16(bytes);
      store(i, _mm256_and_si256(_mm256_or_si256(pairs, _mm256_slli_epi16(pairs, 4)), low));
    }
  } else if (nbits == 2) {
    const __m256i low = _mm256_set1_epi8(3);
    for (; i + 32 <= count; i += 32) {
      __m256i quads = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed + i / 4)));
      quads = _mm256_or_si256(quads, _mm256_slli_epi32(quads, 12));
      quads = _mm256_or_si256(quads, _mm256_slli_epi32(quads, 6));
      store(i, _mm256_and_si256(quads, low));
    }
  }
  return i;
}

#else

template <int nbits>
int64_t pack_wide(const uint8_t*, int64_t, uint8_t*) { return 0; }

template <int nbits>
int64_t unpack_wide(const uint8_t*, int64_t, uint8_t, uint8_t*) { return 0; }

#endif

template <int nbits>
void pack_bits(const uint8_t* values, int64_t count, uint8_t* packed) {
  int64_t i = pack_wide<nbits>(values, count, packed);
  uint8_t* target = packed + i / 8 * nbits;
  for (; i + 8 <= count; i += 8, target += nbits) {
    store_word(squeeze<nbits>(load_word(values + i, 8)), target, nbits);
  }
  const int64_t rest = count - i;
  store_word(squeeze<nbits>(load_word(values + i, rest)), target, (rest * nbits + 7) / 8);
}

template <int nbits>
void unpack_bits(const uint8_t* packed, int64_t count, uint8_t sign, uint8_t* values) {
  const uint64_t top = repeat(sign, 8);
  // Sign extension in every byte at once: the carry of the subtraction stays inside its byte.
  const auto extend = [&](uint64_t word) {
    const uint64_t flipped = word ^ top;
    const uint64_t high = repeat(0x80, 8);
    return ((flipped | high) - top) ^ ((flipped ^ ~top) & high);
  };
  int64_t i = unpack_wide<nbits>(packed, count, sign, values);
  const uint8_t* source = packed + i / 8 * nbits;
  for (; i + 8 <= count; i += 8, source += nbits) {
    store_word(extend(spread<nbits>(load_word(source, nbits))), values + i, 8);
  }
  const int64_t rest = count - i;
  store_word(extend(spread<nbits>(load_word(source, (rest * nbits + 7) / 8))), values + i, rest);
}

void pack(const uint8_t* values, int64_t count, int nbits, uint8_t* packed) {
  switch (nbits) {
    case 1: return pack_bits<1>(values, count, packed);
    case 2: return pack_bits<2>(values, count, packed);
    case 3: return pack_bits<3>(values, count, packed);
    case 4: return pack_bits<4>(values, count, packed);
    case 5: return pack_bits<5>(values, count, packed);
    case 6: return pack_bits<6>(values, count, packed);
    case 7: return pack_bits<7>(values, count, packed);
    default: memcpy(packed, values, static_cast<size_t>(count));
  }
}

void unpack(const uint8_t* packed, int64_t count, int nbits, uint8_t sign, uint8_t* values) {
  switch (nbits) {
    case 1: return unpack_bits<1>(packed, count, sign, values);
    case 2: return unpack_bits<2>(packed, count, sign, values);
    case 3: return unpack_bits<3>(packed, count, sign, values);
    case 4: return unpack_bits<4>(packed, count, sign, values);
    case 5: return unpack_bits<5>(packed, count, sign, values);
    case 6: return unpack_bits<6>(packed, count, sign, values);
    case 7: return unpack_bits<7>(packed, count, sign, values);
    default: memcpy(values, packed, static_cast<size_t>(count));
  }
}

int count_bits(uint64_t word) {
#if defined(__POPCNT__) || (defined(__GNUC__) && defined(MLPRESS_ARM64))
  return __builtin_popcountll(word);
#else
  word = word - ((word >> 1) & 0x5555555555555555u);
  word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<int>((word * 0x0101010101010101u) >> 56);
#endif
}

int64_t popcount(const uint8_t* bytes, int64_t count) {
  int64_t total = 0, i = 0;
  for (; i + 8 <= count; i += 8) total += count_bits(load_word(bytes + i, 8));
  return total + count_bits(load_word(bytes + i, count - i));
}

}  // namespace

extern const PackingTable packing_table;
const PackingTable packing_table = {pack, unpack, popcount};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
