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
void arrange_as(const float* x, int64_t k, float* arranged) {
  using C = Chunk<bits, true>;
  const int64_t chunks = chunks_of(k, bits);
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

template <int bits, typename Bits>
Table<bits> table_of(const EncodedWeight<Bits>& weight, int64_t row) {
  Table<bits> table{};
  if constexpr (bits < 8) {
    const float* entries = weight.tables + row / weight.rows_each * table_entries(bits);
    for (int64_t i = 0; i < table_entries(bits) / kLanes; ++i) table.entries[i] = load(entries + kLanes * i);
  }
  return table;
}

// The row by kRows rows of the weight.
template <typename C, typename Bits, int kRows>
void multiply_rows(const float* x, const EncodedWeight<Bits>& weight, const Parameters<Bits>& parameters, int64_t row,
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
    out.values[row + r] = out.bias ? value + out.bias[row + r] : value;
  }
}

template <typename C, typename Bits>
void multiply_as(const float* x, const EncodedWeight<Bits>& weight, int64_t first, int64_t last, EncodedOut out) {
  const int64_t row_bytes = weight.k * weight.bits / 8, chunks = (weight.k + C::size - 1) / C::size;
  const Parameters<Bits> parameters(weight, C::size);
  int64_t row = first;
  for (; row + 4 <= last; row += 4) multiply_rows<C, Bits, 4>(x, weight, parameters, row, row_bytes, chunks, out);
  for (; row < last; ++row) multiply_rows<C, Bits, 1>(x, weight, parameters, row, row_bytes, chunks, out);
}

template <typename Bits>
void multiply(const float* x, const EncodedWeight<Bits>& weight, int64_t first, int64_t last, EncodedOut out) {
  switch (weight.bits) {
    case 1: return multiply_as<Chunk<1, true>>(x, weight, first, last, out);
    case 2: return multiply_as<Chunk<2, true>>(x, weight, first, last, out);
    case 3: return multiply_as<Chunk<3, true>>(x, weight, first, last, out);
    case 4: return multiply_as<Chunk<4, true>>(x, weight, first, last, out);
    case 6: return multiply_as<Chunk<6, true>>(x, weight, first, last, out);
    default:
      return weight.is_signed ? multiply_as<Chunk<8, true>>(x, weight, first, last, out)
                              : multiply_as<Chunk<8, false>>(x, weight, first, last, out);
  }
}

void arrange(const float* x, int64_t k, int bits, float* arranged) {
  switch (bits) {
    case 1: return arrange_as<1>(x, k, arranged);
    case 2: return arrange_as<2>(x, k, arranged);
    case 3: return arrange_as<3>(x, k, arranged);
    case 4: return arrange_as<4>(x, k, arranged);
    case 6: return arrange_as<6>(x, k, arranged);
    default: return arrange_as<8>(x, k, arranged);
  }
}

}  // namespace

extern const EncodedTable encoded_table;
const EncodedTable encoded_table = {arrange, {multiply<uint16_t>}, {multiply<uint32_t>}};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
