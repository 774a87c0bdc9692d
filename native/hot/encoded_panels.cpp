#include "encoded.hpp"

#include <math.h>

#include "floats.hpp"
#include "tiles.hpp"
#include "words.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

// ---- columns of a panel: sixteen rows of the weight side by side ----

// How elements lie in words: those of a row that stand in one word, and a piece of sixteen words.
template <int width, bool is_signed_byte>
struct Elements {
  static constexpr int bits = width;
  static constexpr bool is_signed = is_signed_byte;
  static constexpr int of_word = 8 * word_bytes(bits) / bits;
  static constexpr int64_t of_piece = kLanes * of_word, piece_bytes = kLanes * word_bytes(bits);
};

template <typename E>
Words load_piece(const uint8_t* data, int64_t bytes) {
  uint8_t padded[E::piece_bytes];
  if (bytes < E::piece_bytes) {
    memset(padded, 0, sizeof padded);
    memcpy(padded, data, static_cast<size_t>(bytes));
    data = padded;
  }
  if constexpr (word_bytes(E::bits) == 3) {
    return load_words_of_three_bytes(data);
  } else {
    return load_words(data);
  }
}

// What elements of less than 8 bits stand for in each of sixteen rows, which may be in several groups.
template <typename E>
struct Tables {
  Lanes entries[kLanes][table_entries(E::bits) / kLanes];
  uint32_t rows[kLanes];  // a bit for each row that has the table
  int count = 0;

  template <typename Bits>
  Tables(const EncodedWeight<Bits>& weight, int64_t row) {
    if constexpr (E::bits == 8) return;
    const int64_t end = row + kLanes < weight.n ? row + kLanes : weight.n;
    for (int64_t r = row; r < end; ++count) {
      const int64_t group = r / weight.rows_each, stop = (group + 1) * weight.rows_each;
      const float* from = weight.tables + group * table_entries(E::bits);
      for (int64_t i = 0; i < table_entries(E::bits); i += kLanes) entries[count][i / kLanes] = load(from + i);
      rows[count] = 0;
      for (; r < stop && r < end; ++r) rows[count] |= 1u << (r - row);
    }
  }

  Lanes look_up(Words words) const {
    Lanes found = MLPRESS_ISA::look_up(entries[0], words);
    for (int t = 1; t < count; ++t) found = choose(rows[t], MLPRESS_ISA::look_up(entries[t], words), found);
    return found;
  }
};

// For each block of sixteen rows that a slice touches, what its elements are multiplied by, and what is added then.
template <typename Bits>
struct Blocks {
  static constexpr int64_t most = 64;
  Lanes factor[most], addend[most];
  int64_t first;

  Blocks(const EncodedWeight<Bits>& weight, int64_t row, int64_t begin, int64_t end) : first(begin / weight.block) {
    const int64_t each = weight.k / weight.block, count = (end - 1) / weight.block - first + 1;
    if (each == 1) {
      set(0, scales(weight, row), offsets(weight, row));
      return;
    }
    for (int64_t b = 0; b < count; b += kLanes) {
      Words scale[kLanes], offset[kLanes];
      for (int r = 0; r < kLanes; ++r) {
        const int64_t from = (row + r < weight.n ? row + r : weight.n - 1) * each + first + b;
        scale[r] = as_words(scales(weight, from));
        offset[r] = as_words(offsets(weight, from));
      }
      transpose(scale);
      transpose(offset);
      for (int i = 0; i < kLanes && b + i < count; ++i) set(b + i, as_lanes(scale[i]), as_lanes(offset[i]));
    }
  }

 private:
  // Those from number `from` on, as many as there are.
  static Lanes scales(const EncodedWeight<Bits>& weight, int64_t from) {
    return weight.scale ? load_some<Bits>(weight.scale + from, some(weight, from)) : all(1.0f);
  }
  static Lanes offsets(const EncodedWeight<Bits>& weight, int64_t from) {
    if (!weight.offset) return all(0.0f);
    uint8_t padded[kLanes] = {};
    memcpy(padded, weight.offset + from, static_cast<size_t>(some(weight, from)));
    return load_i8(padded) + all(weight.offset_base);
  }
  static int some(const EncodedWeight<Bits>& weight, int64_t from) {
    const int64_t left = weight.n * (weight.k / weight.block) - from;
    return static_cast<int>(left < kLanes ? left : kLanes);
  }
  void set(int64_t block, Lanes scale, Lanes offset) {
    factor[block] = scale;
    addend[block] = all(0.0f) - offset * scale;
  }
};

// Elements begin..end of sixteen rows: to[(i - begin) * step + row]. Whole pieces are written.
template <typename E, bool kOneTable, bool kScaled, typename Bits>
void decode_as(const EncodedWeight<Bits>& weight, const Tables<E>& tables, int64_t row, int64_t begin, int64_t end,
               float* to, int64_t step) {
  const int64_t row_bytes = weight.k * E::bits / 8, ahead = (end - begin) * E::bits / 8;
  const Blocks<Bits> blocks(weight, row, begin, kScaled ? end : begin + 1);
  for (int64_t piece = begin; piece < end; piece += E::of_piece) {
    const int64_t start = piece * E::bits / 8;
    Words words[kLanes];
    MLPRESS_UNROLL
    for (int r = 0; r < kLanes; ++r) {
      const int64_t source = row + r < weight.n ? row + r : weight.n - 1;
      const uint8_t* data = weight.data + source * row_bytes + start;
      words[r] = load_piece<E>(data, row_bytes - start);
      prefetch(reinterpret_cast<const float*>(data + ahead));  // for the next slice
    }
    transpose(words);
    for (int w = 0; w < kLanes; ++w) {
      const int64_t element = piece + w * E::of_word;
      if (element >= end) break;
      const int64_t block = kScaled ? element / weight.block - blocks.first : 0;
      const Lanes factor = blocks.factor[block], addend = blocks.addend[block];
      Words left = words[w];
      MLPRESS_UNROLL
      for (int e = 0; e < E::of_word; ++e, to += step) {
        Lanes value;
        if constexpr (E::bits == 8) {
          value = E::is_signed ? low_signed_bytes(left) : low_bytes(left);
        } else {
          value = kOneTable ? look_up(tables.entries[0], left) : tables.look_up(left);
        }
        store(to, kScaled ? fma(value, factor, addend) : value);
        left = shift_right<E::bits>(left);
      }
    }
  }
}

template <typename E, typename Bits>
void decode(const EncodedWeight<Bits>& weight, int64_t row, int64_t begin, int64_t end, float* to, int64_t step) {
  const Tables<E> tables(weight, row);
  const bool is_scaled = weight.scale || weight.offset;
  if (tables.count > 1) {
    const auto run = is_scaled ? decode_as<E, false, true, Bits> : decode_as<E, false, false, Bits>;
    return run(weight, tables, row, begin, end, to, step);
  }
  const auto run = is_scaled ? decode_as<E, true, true, Bits> : decode_as<E, true, false, Bits>;
  run(weight, tables, row, begin, end, to, step);
}

// ---- products ----

// Rows of x by a panel of `columns` columns.
template <int kRows, int kWide>
void multiply_panel(const float* x, int64_t x_step, int64_t rows, int64_t length, const float* panel, int64_t columns,
                    Finish finish, int64_t step, float* out) {
  constexpr int64_t width = kWide * kLanes;
  float bias[width] = {}, part[kRows * width];
  if (finish.bias && columns < width) {
    memcpy(bias, finish.bias, static_cast<size_t>(columns) * sizeof(float));
    finish.bias = bias;
  }
  const int64_t tiles = (rows + kRows - 1) / kRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t top = rows * t / tiles, height = rows * (t + 1) / tiles - top;
    const MultiplyTile tile = tile_of<kRows, kWide>(height);
    float* to = out + top * step;
    const auto multiply = [&](const float* residual, int64_t part_step, float* target) {
      tile(x + top * x_step, x_step, length, panel, width, {panel, 0}, {finish.bias, residual, finish.floor}, nullptr,
           part_step, target);
    };
    if (columns == width) {
      multiply(finish.residual ? to : nullptr, step, to);
      continue;
    }
    const size_t bytes = static_cast<size_t>(columns) * sizeof(float);
    for (int64_t r = 0; r < height; ++r) memcpy(part + r * width, to + r * step, bytes);
    multiply(finish.residual ? part : nullptr, width, part);
    for (int64_t r = 0; r < height; ++r) memcpy(to + r * step, part + r * width, bytes);
  }
}

// Parts of x that all rows of the weight are multiplied by one after the other: such that the caches hold one, as long
// as the work of decoding stays little.
int64_t parts_of(int64_t rows, int64_t k) {
  constexpr int64_t floats = 1 << 18, least = 128;
  const int64_t most = floats / k < least ? least : floats / k;
  return (rows + most - 1) / most;
}

template <typename E, int kRows, int kWide, typename Bits>
void multiply_by(const float* x, int64_t rows, const EncodedWeight<Bits>& weight, int64_t first, int64_t last,
                 float* panel, EncodedOut out) {
  constexpr int64_t width = kWide * kLanes;
  static_assert(width <= 64, "wider than panels are");
  const int64_t slice = slice_size(E::bits, rows), parts = parts_of(rows, weight.k);
  const bool sliced = takes_slices(rows, weight.k);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t top = rows * part / parts, count = rows * (part + 1) / parts - top;
    for (int64_t row = first; row < last; row += width) {
      const int64_t columns = last - row < width ? last - row : width;
      if (columns < width) memset(panel, 0, static_cast<size_t>(slice * width) * sizeof(float));
      float* to = out.values + top * out.step + row;
      for (int64_t begin = 0; begin < weight.k; begin += slice) {
        const int64_t end = begin + slice < weight.k ? begin + slice : weight.k, length = end - begin;
        for (int64_t c = 0; c < columns; c += kLanes) decode<E>(weight, row + c, begin, end, panel + c, width);
        const Finish finish{begin || !out.bias ? nullptr : out.bias + row, begin ? to : nullptr, -INFINITY};
        const int64_t step = sliced ? length : weight.k;
        const float* from = x + (sliced ? rows * begin : begin) + top * step;
        multiply_panel<kRows, kWide>(from, step, count, length, panel, columns, finish, out.step, to);
      }
    }
  }
}

template <typename E, typename Bits>
void multiply_as(const float* x, int64_t rows, const EncodedWeight<Bits>& weight, int64_t first, int64_t last,
                 float* panel, EncodedOut out) {
  if (rows <= few_rows) return multiply_by<E, kWideTileRows, kWideTileLanes>(x, rows, weight, first, last, panel, out);
  multiply_by<E, kTileRows, kTileLanes>(x, rows, weight, first, last, panel, out);
}

template <typename Bits>
void multiply(const float* x, int64_t rows, const EncodedWeight<Bits>& weight, int64_t first, int64_t last,
              float* panel, EncodedOut out) {
  switch (weight.bits) {
    case 1: return multiply_as<Elements<1, false>>(x, rows, weight, first, last, panel, out);
    case 2: return multiply_as<Elements<2, false>>(x, rows, weight, first, last, panel, out);
    case 3: return multiply_as<Elements<3, false>>(x, rows, weight, first, last, panel, out);
    case 4: return multiply_as<Elements<4, false>>(x, rows, weight, first, last, panel, out);
    case 6: return multiply_as<Elements<6, false>>(x, rows, weight, first, last, panel, out);
    default:
      return weight.is_signed ? multiply_as<Elements<8, true>>(x, rows, weight, first, last, panel, out)
                              : multiply_as<Elements<8, false>>(x, rows, weight, first, last, panel, out);
  }
}

void slice(const float* x, int64_t rows, int64_t k, int bits, float* to) {
  const int64_t each = slice_size(bits, rows);
  for (int64_t begin = 0; begin < k; begin += each) {
    const int64_t length = k - begin < each ? k - begin : each;
    for (int64_t r = 0; r < rows; ++r, to += length) {
      memcpy(to, x + r * k + begin, static_cast<size_t>(length) * sizeof(float));
    }
  }
}

}  // namespace

extern const EncodedPanelsTable encoded_panels_table;
const EncodedPanelsTable encoded_panels_table = {slice, {multiply<uint16_t>}, {multiply<uint32_t>}};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
