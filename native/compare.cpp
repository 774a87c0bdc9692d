// Squared errors of encoded float16 weights: decoded and compared a piece at a time, in the first cache.
#include <algorithm>

#include "affine.hpp"
#include "arrays.hpp"
#include "elements.hpp"
#include "packing.hpp"

namespace mlpress {
namespace {

using Sums = std::pair<double, double>;

constexpr int64_t piece_size = 4096;  // elements; eight of any width take whole bytes

// decode(start, count, out) writes elements start .. start + count - 1; pieces come in order.
template <class Decode>
Sums compare(const uint16_t* weight, int64_t count, Decode decode) {
  uint16_t decoded[piece_size];
  SquaredSums sums{0, 0};
  for (int64_t start = 0; start < count; start += piece_size) {
    const int64_t size = std::min(piece_size, count - start);
    decode(start, size, decoded);
    const SquaredSums piece = elements().squared_sums_half(weight + start, decoded, size);
    sums.error += piece.error;
    sums.signal += piece.signal;
  }
  return {sums.error, sums.signal};
}

// Cuts a piece at the ends of rows: calls part(row, rows, first, size) for `rows` whole rows of `size` elements, or
// for `size` elements of one row; `first` counts from the start of the piece.
template <class Part>
void by_rows(int64_t start, int64_t count, int64_t length, Part part) {
  for (int64_t done = 0; done < count;) {
    const int64_t row = (start + done) / length, inside = (start + done) % length, left = count - done;
    const int64_t rows = inside == 0 && left >= length ? left / length : 1;
    const int64_t size = std::min(length - inside, left);
    part(row, rows, done, size);
    done += rows * size;
  }
}

// Elements start .. start + count - 1 of a stream, a byte each; `start` is a multiple of 8.
const uint8_t* part_of(const uint8_t* stream, int64_t start, int64_t count, int nbits, uint8_t sign, uint8_t* scratch) {
  if (nbits == 8) return stream + start;
  packing().unpack(stream + start / 8 * nbits, count, nbits, sign, scratch);
  return scratch;
}

int64_t checked_size(In2<uint16_t> weight, In<uint8_t> packed, int nbits) {
  const int64_t count = static_cast<int64_t>(weight.size());
  require(nbits >= 1 && nbits <= 8, "nbits must be 1 to 8");
  require(static_cast<int64_t>(packed.size()) == count / 8 * nbits + (count % 8 * nbits + 7) / 8,
          "packed has the wrong size");
  return count;
}

Sums affine_error(In2<uint16_t> weight, In<uint8_t> packed, int nbits, bool is_signed, In<uint16_t> scale,
                  In<int32_t> zero_point) {
  const int64_t count = checked_size(weight, packed, nbits), length = static_cast<int64_t>(weight.shape(1));
  require(scale.size() == weight.shape(0) && zero_point.size() == weight.shape(0),
          "one scale and one zero point a row are needed");
  const uint16_t *values = weight.data(), *scales = scale.data();
  const uint8_t* stream = packed.data();
  const int32_t* zeros = zero_point.data();
  const uint8_t sign = is_signed ? static_cast<uint8_t>(1 << (nbits - 1)) : 0;
  nb::gil_scoped_release release;
  const auto dequantize = is_signed ? affine().half.dequantize_signed : affine().half.dequantize_unsigned;
  return compare(values, count, [=](int64_t start, int64_t size, uint16_t* out) {
    uint8_t unpacked[piece_size];
    const uint8_t* codes = part_of(stream, start, size, nbits, sign, unpacked);
    by_rows(start, size, length, [&](int64_t row, int64_t rows, int64_t first, int64_t part) {
      dequantize(codes + first, rows, part, scales + row, zeros + row, out + first);
    });
  });
}

Sums lut_error(In2<uint16_t> weight, In<uint8_t> packed, int nbits, In2<uint16_t> tables) {
  const int64_t count = checked_size(weight, packed, nbits), length = static_cast<int64_t>(weight.shape(1));
  const int64_t entries = static_cast<int64_t>(tables.shape(1));
  require(tables.shape(0) == weight.shape(0) && entries == int64_t{1} << nbits, "one whole table a row is needed");
  const uint16_t *values = weight.data(), *table = tables.data();
  const uint8_t* stream = packed.data();
  nb::gil_scoped_release release;
  return compare(values, count, [=](int64_t start, int64_t size, uint16_t* out) {
    uint8_t unpacked[piece_size];
    const uint8_t* indices = part_of(stream, start, size, nbits, 0, unpacked);
    by_rows(start, size, length, [&](int64_t row, int64_t rows, int64_t first, int64_t part) {
      for (int64_t r = 0; r < rows; ++r, first += part) {
        elements().lookup(indices + first, part, table + (row + r) * entries, entries, 2, out + first);
      }
    });
  });
}

Sums sparse_error(In<uint16_t> weight, In<uint8_t> mask, In<uint16_t> kept) {
  const int64_t count = static_cast<int64_t>(weight.size());
  require(static_cast<int64_t>(mask.size()) == (count + 7) / 8, "mask has the wrong size");
  const uint16_t *values = weight.data(), *next = kept.data();
  const uint8_t* bits = mask.data();
  int64_t left = static_cast<int64_t>(kept.size());
  nb::gil_scoped_release release;
  const Sums sums = compare(values, count, [&](int64_t start, int64_t size, uint16_t* out) {
    const uint8_t* part = bits + start / 8;
    int64_t ones = packing().popcount(part, size / 8);
    for (int64_t i = size / 8 * 8; i < size; ++i) ones += (part[i / 8] >> (i % 8)) & 1;
    require(ones <= left, "the mask has more ones than there are values");
    elements().scatter(next, part, size, ones, 2, out);
    next += ones;
    left -= ones;
  });
  require(left == 0, "the mask has fewer ones than there are values");
  return sums;
}

}  // namespace

void bind_compare(nb::module_& m) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  m.def("affine_error", &affine_error, array("weight"), array("packed"), nb::arg("nbits"), nb::arg("is_signed"),
        array("scale"), array("zero_point"));
  m.def("lut_error", &lut_error, array("weight"), array("packed"), nb::arg("nbits"), array("tables"));
  m.def("sparse_error", &sparse_error, array("weight"), array("mask"), array("kept"));
}

}  // namespace mlpress
