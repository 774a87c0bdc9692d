// Linear layers by weights that stay in their encoding.
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// Entries of a table; one for fewer bits repeats until it is full.
inline constexpr int64_t table_entries(int bits) { return bits == 6 ? 64 : 16; }

// A weight [n, k]: scale * (value - offset), a scale and an offset for each block of a row.
template <typename Bits>
struct EncodedWeight {
  const uint8_t* data;  // [n, k * bits / 8], the first element in the lowest bits
  int bits;             // 1, 2, 3, 4, 6 or 8
  bool is_signed;       // whether values of 8 bits are
  const float* tables;  // [n / rows_each, table_entries(bits)]: the values of less than 8 bits
  int64_t rows_each;
  const Bits* scale;     // [n, k / block], or null for 1; float16 is uint16_t, float32 is uint32_t
  const uint8_t* offset;  // the same as int8, less than it is by `offset_base`; null for 0
  float offset_base;
  int64_t block;
  int64_t n, k;
};

// Where the results of some rows of x and some rows of the weight go: out[row of x * step + row of weight].
struct EncodedOut {
  const float* bias;  // [n], or null
  float* values;
  int64_t step;
};

template <typename Bits>
struct EncodedOf {
  // The product of a row that `arrange` made and rows first..last of the weight.
  void (*multiply)(const float* arranged, const EncodedWeight<Bits>& weight, int64_t first, int64_t last,
                   EncodedOut out);
};

struct EncodedTable {
  // One row x [k] in the order in which elements of `bits` bits are unpacked, zeros behind its end, and behind it the
  // sums by lane of each chunk: arranged_size(k, bits) floats.
  void (*arrange)(const float* x, int64_t k, int bits, float* arranged);
  EncodedOf<uint16_t> half;
  EncodedOf<uint32_t> single;
};

// Bytes of a piece of data that holds whole elements of less than 8 bits.
inline constexpr int word_bytes(int bits) { return bits % 3 == 0 ? 3 : 4; }

// Vectors of 16 elements that are unpacked from a piece of data at a time.
inline constexpr int64_t chunk_vectors(int bits) { return bits == 8 ? 2 : 8 * word_bytes(bits) / bits; }
inline constexpr int64_t chunk_size(int bits) { return 16 * chunk_vectors(bits); }
inline constexpr int64_t chunks_of(int64_t k, int bits) { return (k + chunk_size(bits) - 1) / chunk_size(bits); }
inline constexpr int64_t arranged_size(int64_t k, int bits) { return chunks_of(k, bits) * (chunk_size(bits) + 16); }

// For more than one row of x: the elements of a row of the weight that are decoded at a time, and the floats of a
// panel, which holds those of all rows that are. With few rows of x panels are wider, to have as many sums at once.
constexpr int64_t few_rows = 6;
inline constexpr int64_t slice_size(int bits, int64_t rows) {
  if (bits == 1) return 512;
  return bits == 2 || rows > few_rows ? 256 : 128;
}
inline constexpr int64_t panel_size(int bits) { return 64 * slice_size(bits, few_rows); }

// Whether rows of x are so far apart that the caches have the same few places for them, and slices are made of them.
inline constexpr bool takes_slices(int64_t rows, int64_t k) { return rows > few_rows && k % 1024 == 0; }

template <typename Bits>
struct EncodedPanelsOf {
  // The product of rows x [rows, k], or of what `slice` made of them if they are to be, and rows first..last of the
  // weight.
  void (*multiply)(const float* x, int64_t rows, const EncodedWeight<Bits>& weight, int64_t first, int64_t last,
                   float* panel, EncodedOut out);
};

struct EncodedPanelsTable {
  // Slices of x [rows, k] one after the other, each [rows, slice_size(bits, rows)], the last one as wide as it is.
  void (*slice)(const float* x, int64_t rows, int64_t k, int bits, float* sliced);
  EncodedPanelsOf<uint16_t> half;
  EncodedPanelsOf<uint32_t> single;
};

}  // namespace mlpress

MLPRESS_DISPATCH(EncodedTable, encoded)
MLPRESS_DISPATCH(EncodedPanelsTable, encoded_panels)
