#include "elements.hpp"

#include <string.h>

#include "half.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

#ifdef MLPRESS_AVX2

// For each mask byte, the positions of its ones (to gather), and for each position its rank among the ones (to
// scatter), and their number; 0x80 is "nothing", which a byte shuffle turns into zero.
struct MaskOrders {
  uint8_t ones[256][8];
  uint8_t ranks[256][8];
  uint8_t counts[256];
};

constexpr MaskOrders make_orders() {
  MaskOrders orders{};
  for (int mask = 0; mask < 256; ++mask) {
    int rank = 0;
    for (int bit = 0; bit < 8; ++bit) {
      orders.ones[mask][bit] = 0x80;
      orders.ranks[mask][bit] = 0x80;
    }
    for (int bit = 0; bit < 8; ++bit) {
      if ((mask >> bit) & 1) {
        orders.ones[mask][rank] = static_cast<uint8_t>(bit);
        orders.ranks[mask][bit] = static_cast<uint8_t>(rank++);
      }
    }
    orders.counts[mask] = static_cast<uint8_t>(rank);
  }
  return orders;
}

constexpr MaskOrders mask_orders = make_orders();

// Moves element order[i] to place i, for eight elements of 1, 2 or 4 bytes.
template <typename T>
void shuffle8(const T* source, const uint8_t* order, T* target) {
  const __m128i places = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(order));
  if (sizeof(T) == 1) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(source));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(target), _mm_shuffle_epi8(bytes, places));
  } else if (sizeof(T) == 2) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
    const __m128i twice = _mm_adds_epu8(places, places);  // 0x80 saturates and keeps its top bit
    const __m128i pairs = _mm_add_epi8(_mm_unpacklo_epi8(twice, twice), _mm_set1_epi16(0x0100));
    const __m128i top = _mm_and_si128(_mm_unpacklo_epi8(places, places), _mm_set1_epi8(static_cast<char>(0x80)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm_shuffle_epi8(halves, _mm_or_si128(pairs, top)));
  } else {
    const __m256i lanes = _mm256_cvtepi8_epi32(places);
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
    const __m256i moved = _mm256_permutevar8x32_epi32(words, lanes);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), _mm256_andnot_si256(_mm256_srai_epi32(lanes, 31), moved));
  }
}

#endif

template <typename T>
void gather_as(const T* values, const uint8_t* mask, int64_t count, int64_t kept, T* out) {
  int64_t next = 0, i = 0;
#ifdef MLPRESS_AVX2
  for (; i + 8 <= count && next + 8 <= kept; i += 8) {
    shuffle8(values + i, mask_orders.ones[mask[i / 8]], out + next);
    next += mask_orders.counts[mask[i / 8]];
  }
#endif
  for (; i < count && next < kept; ++i) {
    out[next] = values[i];
    next += (mask[i / 8] >> (i % 8)) & 1;
  }
}

template <typename T>
void scatter_as(const T* values, const uint8_t* mask, int64_t count, int64_t kept, T* out) {
  int64_t next = 0, i = 0;
#ifdef MLPRESS_AVX2
  for (; i + 8 <= count && next + 8 <= kept; i += 8) {
    shuffle8(values + next, mask_orders.ranks[mask[i / 8]], out + i);
    next += mask_orders.counts[mask[i / 8]];
  }
#endif
  for (; i < count && next < kept; ++i) {
    const int one = (mask[i / 8] >> (i % 8)) & 1;
    out[i] = static_cast<T>(values[next] & (T{0} - static_cast<T>(one)));  // no branch to mispredict
    next += one;
  }
  if (i < count) memset(out + i, 0, static_cast<size_t>(count - i) * sizeof(T));
}

void gather(const void* values, const uint8_t* mask, int64_t count, int64_t kept, int width, void* out) {
  if (width == 1) {
    gather_as(static_cast<const uint8_t*>(values), mask, count, kept, static_cast<uint8_t*>(out));
  } else if (width == 2) {
    gather_as(static_cast<const uint16_t*>(values), mask, count, kept, static_cast<uint16_t*>(out));
  } else {
    gather_as(static_cast<const uint32_t*>(values), mask, count, kept, static_cast<uint32_t*>(out));
  }
}

void scatter(const void* values, const uint8_t* mask, int64_t count, int64_t kept, int width, void* out) {
  if (width == 1) {
    scatter_as(static_cast<const uint8_t*>(values), mask, count, kept, static_cast<uint8_t*>(out));
  } else if (width == 2) {
    scatter_as(static_cast<const uint16_t*>(values), mask, count, kept, static_cast<uint16_t*>(out));
  } else {
    scatter_as(static_cast<const uint32_t*>(values), mask, count, kept, static_cast<uint32_t*>(out));
  }
}

uint8_t maximum(const uint8_t* values, int64_t count) {
  uint8_t largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = values[i] > largest ? values[i] : largest;
  return largest;
}

template <typename T>
void lookup_as(const uint8_t* indices, int64_t count, const T* table, int64_t table_size, T* out) {
  int64_t i = 0;
#ifdef MLPRESS_AVX2
  if (sizeof(T) <= 2 && table_size <= 16) {
    // A table of sixteen entries fits a register, its low and high bytes apart.
    alignas(16) uint8_t low[16] = {0}, high[16] = {0};
    for (int64_t e = 0; e < table_size; ++e) {
      low[e] = static_cast<uint8_t>(table[e]);
      high[e] = static_cast<uint8_t>(static_cast<uint32_t>(table[e]) >> 8);
    }
    const __m256i low_bytes = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(low)));
    const __m256i high_bytes = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(high)));
    for (; i + 32 <= count; i += 32) {
      __m256i places = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(indices + i));
      __m256i* target = reinterpret_cast<__m256i*>(out + i);
      if (sizeof(T) == 1) {
        _mm256_storeu_si256(target, _mm256_shuffle_epi8(low_bytes, places));
        continue;
      }
      places = _mm256_permute4x64_epi64(places, 0xd8);
      const __m256i lower = _mm256_shuffle_epi8(low_bytes, places);
      const __m256i upper = _mm256_shuffle_epi8(high_bytes, places);
      _mm256_storeu_si256(target, _mm256_unpacklo_epi8(lower, upper));
      _mm256_storeu_si256(target + 1, _mm256_unpackhi_epi8(lower, upper));
    }
  }
#else
  (void)table_size;
#endif
  for (; i < count; ++i) out[i] = table[indices[i]];
}

void lookup(const uint8_t* indices, int64_t count, const void* table, int64_t table_size, int width, void* out) {
  if (width == 1) {
    lookup_as(indices, count, static_cast<const uint8_t*>(table), table_size, static_cast<uint8_t*>(out));
  } else if (width == 2) {
    lookup_as(indices, count, static_cast<const uint16_t*>(table), table_size, static_cast<uint16_t*>(out));
  } else {
    lookup_as(indices, count, static_cast<const uint32_t*>(table), table_size, static_cast<uint32_t*>(out));
  }
}

// Eight partial sums in double precision: enough for any vector width, and the same result at each.
struct Accumulator {
  double error[8] = {0};
  double signal[8] = {0};

  void add(const float* a, const float* b) {
    for (int lane = 0; lane < 8; ++lane) {
      const double value = a[lane];
      const double difference = value - static_cast<double>(b[lane]);
      error[lane] += difference * difference;
      signal[lane] += value * value;
    }
  }

  SquaredSums total() const {
    SquaredSums sums{0, 0};
    for (int lane = 0; lane < 8; ++lane) {
      sums.error += error[lane];
      sums.signal += signal[lane];
    }
    return sums;
  }
};

SquaredSums squared_sums_float(const float* a, const float* b, int64_t count) {
  Accumulator sums;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) sums.add(a + i, b + i);
  float left[8] = {0}, right[8] = {0};
  for (int64_t j = i; j < count; ++j) {
    left[j - i] = a[j];
    right[j - i] = b[j];
  }
  sums.add(left, right);
  return sums.total();
}

SquaredSums squared_sums_half(const uint16_t* a, const uint16_t* b, int64_t count) {
  Accumulator sums;
  float left[8], right[8];
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    half_to_float_n(a + i, left, 8);
    half_to_float_n(b + i, right, 8);
    sums.add(left, right);
  }
  for (int lane = 0; lane < 8; ++lane) left[lane] = right[lane] = 0.0f;
  half_to_float_n(a + i, left, count - i);
  half_to_float_n(b + i, right, count - i);
  sums.add(left, right);
  return sums.total();
}

}  // namespace

extern const ElementsTable elements_table;
const ElementsTable elements_table = {gather, scatter, maximum, lookup, squared_sums_half, squared_sums_float};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
