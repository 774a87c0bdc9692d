#include "encoded.hpp"

#include "floats.hpp"
#include "fma.hpp"
#include "words.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

// The values of elements of less than 8 bits.
template <int bits>
struct Table {
  Lanes entries[table_entries(bits) / kLanes];
};

// Unpacking of one chunk of a row. In a chunk of less than 8 bits each lane is a word of 32 or 24 bits of the data, of
// which vector v holds the element number v; in one of 8 bits, vectors hold elements one after the other.
template <int width, bool is_signed>
struct Chunk {
  static constexpr int bits = width;
  static constexpr int vectors = static_cast<int>(chunk_vectors(bits));
  static constexpr int64_t size = chunk_size(bits), bytes = size * bits / 8;

  static void unpack(const uint8_t* data, const Table<bits>& table, Lanes (&out)[vectors]) {
    if constexpr (bits == 8) {
      for (int v = 0; v < vectors; ++v) out[v] = is_signed ? load_i8(data + 16 * v) : load_u8(data + 16 * v);
    } else {
      Words words = word_bytes(bits) == 3 ? load_words_of_three_bytes(data) : load_words(data);
      for (int v = 0; v < vectors; ++v) {
        out[v] = look_up(table.entries, words);
        words = shift_right<bits>(words);
      }
    }
  }

  // Where element i of a chunk is put.
  static int64_t place(int64_t i) { return bits == 8 ? i : i % vectors * 16 + i / vectors; }
};

// The same for a chunk of which only `count` elements are there; others are anything.
template <typename C>
void unpack_some(const uint8_t* data, int64_t bytes, const Table<C::bits>& table, Lanes (&out)[C::vectors]) {
  if (bytes >= C::bytes) return C::unpack(data, table, out);
  uint8_t padded[C::bytes] = {};
  memcpy(padded, data, static_cast<size_t>(bytes));
  C::unpack(padded, table, out);
}

// Sixteen elements of an array at a time, which may reach over its end, where there are zeros.
template <typename T>
struct Guarded {
  const T* elements;
  int64_t safe;  // the first place from which sixteen elements are not there
  T end[2 * kLanes] = {};

  Guarded(const T* array, int64_t count) : elements(array), safe(count < kLanes ? 0 : count - kLanes + 1) {
    if (array) memcpy(end, array + safe, static_cast<size_t>(count - safe) * sizeof(T));
  }
  const T* from(int64_t i) const { return i < safe ? elements + i : end + (i - safe); }
};

// Scale and offset of each lane of a chunk.
template <typename Bits>
struct Parameters {
  const EncodedWeight<Bits>& weight;
  int64_t blocks;  // of a row
  int64_t chunk;   // elements of a chunk
  Guarded<Bits> scales;
  Guarded<uint8_t> offsets;
  Words spread;  // for each lane, which of a chunk's blocks it belongs to

  Parameters(const EncodedWeight<Bits>& w, int64_t chunk_elements)
      : weight(w),
        blocks(w.k / w.block),
        chunk(chunk_elements),
        scales(w.scale, w.n * blocks),
        offsets(w.offset, w.n * blocks) {
    uint8_t of_lane[4 * kLanes] = {};  // words of which only the lowest byte is not zero
    for (int64_t lane = 0; lane < kLanes && w.block < chunk && blocks > 1; ++lane) {
      of_lane[4 * lane] = static_cast<uint8_t>(lane * (chunk / kLanes) / w.block);
    }
    spread = load_words(of_lane);
  }

  int64_t first(int64_t row, int64_t c) const { return row * blocks + c * chunk / weight.block; }
  Lanes scale(int64_t row, int64_t c) const {
    return look_up(Floats<Bits>::load_lanes(scales.from(first(row, c))), spread);
  }
  Lanes offset(int64_t row, int64_t c) const {
    return look_up(load_i8(offsets.from(first(row, c))) + all(weight.offset_base), spread);
  }
};

template <int bits>
void arrange_as(const float* x, int64_t rows, int64_t k, float* arranged) {
  using C = Chunk<bits, true>;
  const int64_t chunks = chunks_of(k, bits);
  for (int64_t r = 0; r < rows; ++r, x += k, arranged += arranged_size(k, bits)) {
    float* sums = arranged + chunks * C::size;
    for (int64_t c = 0; c < chunks; ++c) {
      float* to = arranged + c * C::size;
      const int64_t count = k - c * C::size < C::size ? k - c * C::size : C::size;
      if (count < C::size) memset(to, 0, C::size * sizeof(float));
      for (int64_t i = 0; i < count; ++i) to[C::place(i)] = x[c * C::size + i];
      Lanes sum = all(0.0f);
      for (int v = 0; v < C::vectors; ++v) sum = sum + load(to + 16 * v);
      store(sums + 16 * c, sum);
    }
  }
}

template <int bits, typename Bits>
Table<bits> table_of(const EncodedWeight<Bits>& weight, int64_t row) {
  Table<bits> table{};
  if constexpr (bits < 8) {
    const float* entries = weight.tables + row / weight.rows_each * table_entries(bits);
    for (int64_t i = 0; i < table_entries(bits) / kLanes; ++i) table.entries[i] = load(entries + kLanes * i);
  }
  return table;
}

template <typename Bits>
void put(const EncodedOut& out, int64_t x_row, int64_t row, float value) {
  out.values[x_row * out.step + row] = out.bias ? value + out.bias[row] : value;
}

// One row of x, kRows rows of the weight.
template <typename C, typename Bits, int kRows>
void multiply_one(const float* x, const EncodedWeight<Bits>& weight, const Parameters<Bits>& parameters, int64_t row,
                  int64_t row_bytes, int64_t chunks, EncodedOut out) {
  const bool whole = weight.block >= weight.k;
  const float* sums_of_x = x + chunks * C::size;
  Lanes sums[kRows];
  Table<C::bits> table[kRows];
  MLPRESS_UNROLL
  for (int r = 0; r < kRows; ++r) {
    sums[r] = all(0.0f);
    table[r] = table_of<C::bits>(weight, row + r);
  }
  const uint8_t* data = weight.data + row * row_bytes;
  for (int64_t c = 0; c < chunks; ++c) {
    const float* from = x + c * C::size;
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const uint8_t* piece = data + r * row_bytes + c * C::bytes;
      Lanes values[C::vectors];
      unpack_some<C>(piece, row_bytes - c * C::bytes, table[r], values);
      prefetch(reinterpret_cast<const float*>(piece + kRows * row_bytes));  // for the rows that come next
      if (whole) {
        for (int v = 0; v < C::vectors; ++v) sums[r] = fma(load(from + 16 * v), values[v], sums[r]);
        continue;
      }
      Lanes sum = all(0.0f);
      for (int v = 0; v < C::vectors; ++v) sum = fma(load(from + 16 * v), values[v], sum);
      if (weight.offset) sum = sum - load(sums_of_x + 16 * c) * parameters.offset(row + r, c);
      sums[r] = fma(sum, parameters.scale(row + r, c), sums[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float value = sum(sums[r]);
    if (whole && weight.offset) {
      Lanes all_of_x = all(0.0f);
      for (int64_t c = 0; c < chunks; ++c) all_of_x = all_of_x + load(sums_of_x + 16 * c);
      value -= sum(all_of_x) * (static_cast<float>(static_cast<int8_t>(weight.offset[row + r])) + weight.offset_base);
    }
    if (whole && weight.scale) value *= Floats<Bits>::value(weight.scale[row + r]);
    put<Bits>(out, 0, row + r, value);
  }
}

template <typename C, typename Bits>
void decode_row(const EncodedWeight<Bits>& weight, const Parameters<Bits>& parameters, int64_t row, int64_t row_bytes,
                int64_t chunks, float* to) {
  const Table<C::bits> table = table_of<C::bits>(weight, row);
  const uint8_t* data = weight.data + row * row_bytes;
  for (int64_t c = 0; c < chunks; ++c, to += C::size) {
    Lanes values[C::vectors];
    unpack_some<C>(data + c * C::bytes, row_bytes - c * C::bytes, table, values);
    const Lanes scale = weight.scale ? parameters.scale(row, c) : all(1.0f);
    const Lanes offset = weight.offset ? parameters.offset(row, c) : all(0.0f);
    for (int v = 0; v < C::vectors; ++v) store(to + 16 * v, (values[v] - offset) * scale);
  }
}

// kRows rows of x by four decoded rows.
template <int kRows, typename Bits>
void multiply_tile(const float* x, int64_t x_step, const float* decoded, int64_t length, int64_t x_row, int64_t row,
                   int64_t count, EncodedOut out) {
  Lanes sums[kRows][rows_decoded];
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < rows_decoded; ++n) sums[r][n] = all(0.0f);
  }
  for (int64_t i = 0; i < length; i += kLanes) {
    Lanes w[rows_decoded];
    for (int n = 0; n < rows_decoded; ++n) w[n] = load(decoded + n * length + i);
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Lanes values = load(x + r * x_step + i);
      for (int n = 0; n < rows_decoded; ++n) sums[r][n] = fma(values, w[n], sums[r][n]);
    }
  }
  float bias[rows_decoded] = {};
  if (out.bias) memcpy(bias, out.bias + row, static_cast<size_t>(count) * sizeof(float));
  MLPRESS_UNROLL
  for (int r = 0; r < kRows; ++r) {
    float found[rows_decoded], *to = out.values + (x_row + r) * out.step + row;
    four_sums(sums[r], found);
    for (int n = 0; n < rows_decoded; ++n) found[n] += bias[n];
    if (count == rows_decoded) {
      memcpy(to, found, sizeof found);  // of a size that is known
    } else {
      memcpy(to, found, static_cast<size_t>(count) * sizeof(float));
    }
  }
}

#if defined(MLPRESS_AVX512)
constexpr int kDotRows = 6;  // 24 of 32 registers hold sums
#else
constexpr int kDotRows = 1;
#endif

template <int kMost, typename Bits>
void multiply_rows(int64_t rows, const float* x, int64_t x_step, const float* decoded, int64_t length, int64_t x_row,
                   int64_t row, int64_t count, EncodedOut out) {
  if constexpr (kMost > 1) {
    if (rows < kMost) return multiply_rows<kMost - 1, Bits>(rows, x, x_step, decoded, length, x_row, row, count, out);
  }
  multiply_tile<kMost, Bits>(x, x_step, decoded, length, x_row, row, count, out);
}

// Rows of x that all rows of the weight are multiplied by before the next: those that the caches hold, and enough for
// the work of decoding to be little.
int64_t rows_together(int64_t x_step) {
  constexpr int64_t floats = 1 << 17, least = 96;
  return floats / x_step < least ? least : floats / x_step;
}

template <typename C, typename Bits>
void multiply_as(const float* x, int64_t rows, const EncodedWeight<Bits>& weight, int64_t first, int64_t last,
                 float* scratch, EncodedOut out) {
  const int64_t row_bytes = weight.k * weight.bits / 8, chunks = (weight.k + C::size - 1) / C::size;
  const Parameters<Bits> parameters(weight, C::size);
  if (rows == 1) {
    int64_t row = first;
    for (; row + 4 <= last; row += 4) multiply_one<C, Bits, 4>(x, weight, parameters, row, row_bytes, chunks, out);
    for (; row < last; ++row) multiply_one<C, Bits, 1>(x, weight, parameters, row, row_bytes, chunks, out);
    return;
  }
  const int64_t length = chunks * C::size, x_step = arranged_size(weight.k, weight.bits);
  const int64_t most = rows_together(x_step);
  for (int64_t from = 0; from < rows; from += most) {
    const int64_t together = rows - from < most ? rows - from : most, tiles = (together + kDotRows - 1) / kDotRows;
    for (int64_t row = first; row < last; row += rows_decoded) {
      const int64_t count = last - row < rows_decoded ? last - row : rows_decoded;
      for (int64_t n = 0; n < count; ++n) {
        decode_row<C>(weight, parameters, row + n, row_bytes, chunks, scratch + n * length);
      }
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t top = from + together * t / tiles, height = from + together * (t + 1) / tiles - top;
        multiply_rows<kDotRows, Bits>(height, x + top * x_step, x_step, scratch, length, top, row, count, out);
      }
    }
  }
}

template <typename Bits>
void multiply(const float* x, int64_t rows, const EncodedWeight<Bits>& weight, int64_t first, int64_t last,
              float* scratch, EncodedOut out) {
  switch (weight.bits) {
    case 1: return multiply_as<Chunk<1, true>>(x, rows, weight, first, last, scratch, out);
    case 2: return multiply_as<Chunk<2, true>>(x, rows, weight, first, last, scratch, out);
    case 3: return multiply_as<Chunk<3, true>>(x, rows, weight, first, last, scratch, out);
    case 4: return multiply_as<Chunk<4, true>>(x, rows, weight, first, last, scratch, out);
    case 6: return multiply_as<Chunk<6, true>>(x, rows, weight, first, last, scratch, out);
    default:
      return weight.is_signed ? multiply_as<Chunk<8, true>>(x, rows, weight, first, last, scratch, out)
                              : multiply_as<Chunk<8, false>>(x, rows, weight, first, last, scratch, out);
  }
}

void arrange(const float* x, int64_t rows, int64_t k, int bits, float* arranged) {
  switch (bits) {
    case 1: return arrange_as<1>(x, rows, k, arranged);
    case 2: return arrange_as<2>(x, rows, k, arranged);
    case 3: return arrange_as<3>(x, rows, k, arranged);
    case 4: return arrange_as<4>(x, rows, k, arranged);
    case 6: return arrange_as<6>(x, rows, k, arranged);
    default: return arrange_as<8>(x, rows, k, arranged);
  }
}

}  // namespace

extern const EncodedTable encoded_table;
const EncodedTable encoded_table = {arrange, {multiply<uint16_t>}, {multiply<uint32_t>}};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
