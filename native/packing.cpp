#include "packing.hpp"

#include "arrays.hpp"
#include "elements.hpp"

namespace mlpress {
namespace {

int64_t packed_size(int64_t count, int nbits) { return count / 8 * nbits + (count % 8 * nbits + 7) / 8; }

void check_nbits(int nbits) { require(nbits >= 1 && nbits <= 8, "nbits must be 1 to 8"); }

void check_width(int width) { require(width == 1 || width == 2 || width == 4, "width must be 1, 2 or 4 bytes"); }

void pack(In<uint8_t> values, int nbits, Out<uint8_t> out) {
  const int64_t count = static_cast<int64_t>(values.size());
  check_nbits(nbits);
  require(static_cast<int64_t>(out.size()) == packed_size(count, nbits), "out has the wrong size");
  const uint8_t* source = values.data();
  uint8_t* target = out.data();
  nb::gil_scoped_release release;
  packing().pack(source, count, nbits, target);
}

void unpack(In<uint8_t> packed, int nbits, bool is_signed, Out<uint8_t> out) {
  const int64_t count = static_cast<int64_t>(out.size());
  check_nbits(nbits);
  require(static_cast<int64_t>(packed.size()) >= packed_size(count, nbits), "packed is too short");
  const uint8_t* source = packed.data();
  uint8_t* target = out.data();
  nb::gil_scoped_release release;
  packing().unpack(source, count, nbits, is_signed ? static_cast<uint8_t>(1 << (nbits - 1)) : 0, target);
}

int64_t popcount(In<uint8_t> packed) {
  const uint8_t* data = packed.data();
  const int64_t count = static_cast<int64_t>(packed.size());
  nb::gil_scoped_release release;
  return packing().popcount(data, count);
}

// Ones among the first `count` bits.
int64_t count_ones(const uint8_t* mask, int64_t count) {
  int64_t ones = packing().popcount(mask, count / 8);
  for (int64_t i = count / 8 * 8; i < count; ++i) ones += (mask[i / 8] >> (i % 8)) & 1;
  return ones;
}

// Arrays of elements of `width` bytes arrive viewed as bytes.
void gather_mask(In<uint8_t> values, In<uint8_t> mask, int width, Out<uint8_t> out) {
  check_width(width);
  const int64_t count = static_cast<int64_t>(values.size()) / width;
  require(static_cast<int64_t>(values.size()) == count * width, "values has a broken element");
  require(static_cast<int64_t>(mask.size()) >= packed_size(count, 1), "mask is too short");
  const int64_t kept = static_cast<int64_t>(out.size()) / width;
  const uint8_t* bits = mask.data();
  const uint8_t* source = values.data();
  uint8_t* target = out.data();
  nb::gil_scoped_release release;
  require(count_ones(bits, count) == kept && static_cast<int64_t>(out.size()) == kept * width,
          "out must hold one element for each one in the mask");
  elements().gather(source, bits, count, kept, width, target);
}

void scatter_mask(In<uint8_t> values, In<uint8_t> mask, int width, Out<uint8_t> out) {
  check_width(width);
  const int64_t count = static_cast<int64_t>(out.size()) / width;
  require(static_cast<int64_t>(out.size()) == count * width, "out has a broken element");
  require(static_cast<int64_t>(mask.size()) >= packed_size(count, 1), "mask is too short");
  const int64_t kept = static_cast<int64_t>(values.size()) / width;
  const uint8_t* bits = mask.data();
  const uint8_t* source = values.data();
  uint8_t* target = out.data();
  nb::gil_scoped_release release;
  require(count_ones(bits, count) == kept && static_cast<int64_t>(values.size()) == kept * width,
          "values must hold one element for each one in the mask");
  elements().scatter(source, bits, count, kept, width, target);
}

void lookup(In<uint8_t> indices, In<uint8_t> table, int width, Out<uint8_t> out) {
  check_width(width);
  const int64_t count = static_cast<int64_t>(indices.size());
  const int64_t table_size = static_cast<int64_t>(table.size()) / width;
  require(static_cast<int64_t>(table.size()) == table_size * width, "table has a broken element");
  require(static_cast<int64_t>(out.size()) == count * width, "out has the wrong size");
  const uint8_t* source = indices.data();
  const uint8_t* entries = table.data();
  uint8_t* target = out.data();
  nb::gil_scoped_release release;
  if (count == 0) return;
  require(table_size >= 256 || elements().maximum(source, count) < table_size, "an index is outside the table");
  elements().lookup(source, count, entries, table_size, width, target);
}

std::pair<double, double> squared_sums_half(In<uint16_t> a, In<uint16_t> b) {
  require(a.size() == b.size(), "a and b differ in size");
  const uint16_t* left = a.data();
  const uint16_t* right = b.data();
  const int64_t count = static_cast<int64_t>(a.size());
  nb::gil_scoped_release release;
  const SquaredSums sums = elements().squared_sums_half(left, right, count);
  return {sums.error, sums.signal};
}

std::pair<double, double> squared_sums_float(In<float> a, In<float> b) {
  require(a.size() == b.size(), "a and b differ in size");
  const float* left = a.data();
  const float* right = b.data();
  const int64_t count = static_cast<int64_t>(a.size());
  nb::gil_scoped_release release;
  const SquaredSums sums = elements().squared_sums_float(left, right, count);
  return {sums.error, sums.signal};
}

}  // namespace

void bind_packing(nb::module_& m) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  m.def("pack", &pack, array("values"), nb::arg("nbits"), array("out"));
  m.def("unpack", &unpack, array("packed"), nb::arg("nbits"), nb::arg("is_signed"), array("out"));
  m.def("popcount", &popcount, array("packed"));
  m.def("gather_mask", &gather_mask, array("values"), array("mask"), nb::arg("width"), array("out"));
  m.def("scatter_mask", &scatter_mask, array("values"), array("mask"), nb::arg("width"), array("out"));
  m.def("lookup", &lookup, array("indices"), array("table"), nb::arg("width"), array("out"));
  m.def("squared_sums_half", &squared_sums_half, array("a"), array("b"));
  m.def("squared_sums_float", &squared_sums_float, array("a"), array("b"));
}

}  // namespace mlpress
