#include "encoded.hpp"

#include <type_traits>

#include "arrays.hpp"

namespace mlpress {
namespace {

template <typename Bits, typename Table>
const auto& kernels_of(const Table& table) {
  if constexpr (std::is_same_v<Bits, uint16_t>) {
    return table.half;
  } else {
    return table.single;
  }
}

int64_t size_of(size_t size) { return static_cast<int64_t>(size); }

// Floats of a line of the caches; vectors that lie across two of them take twice as long.
constexpr int64_t line_floats = 16;

template <typename T>
T* start_of_line(T* array) {
  const uintptr_t line = line_floats * sizeof(float);
  return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(array) + line - 1) / line * line);
}

void require_bits(int bits) {
  require((1 <= bits && bits <= 4) || bits == 6 || bits == 8, "bits must be 1, 2, 3, 4, 6 or 8");
}

// Floats of what goes into a product in place of x: a row in another order, or slices of several; 0 if x itself does.
int64_t prepared_size(int64_t rows, int64_t k, int bits) {
  if (rows == 1) return line_floats + arranged_size(k, bits);
  return takes_slices(rows, k) ? line_floats + rows * k : 0;
}

int64_t room_for_panel(int bits) { return line_floats + panel_size(bits); }

void prepare(In2<float> x, int bits, Out<float> prepared) {
  require_bits(bits);
  const int64_t rows = size_of(x.shape(0)), k = size_of(x.shape(1));
  require(prepared_size(rows, k, bits) > 0, "the rows are taken as they are");
  require(size_of(prepared.size()) == prepared_size(rows, k, bits), "the prepared rows have the wrong size");
  const float* from = x.data();
  float* to = start_of_line(prepared.data());
  nb::gil_scoped_release release;
  if (rows == 1) {
    encoded().arrange(from, k, bits, to);
  } else {
    encoded_panels().slice(from, rows, k, bits, to);
  }
}

template <typename T>
const T* data_or_null(const std::optional<In<T>>& array) {
  return array ? array->data() : nullptr;
}

// Rows `first` to `last` of the weight, which has as many rows as `out` columns.
template <typename Bits>
void multiply(In<float> x, In<uint8_t> data, int bits, bool is_signed, std::optional<In2<float>> tables,
              std::optional<In<Bits>> scale, std::optional<In<uint8_t>> offset, float offset_base, int64_t block,
              int64_t k, std::optional<In<float>> bias, int64_t first, int64_t last, Out<float> panel,
              Out2<float> out) {
  require_bits(bits);
  const int64_t rows = size_of(out.shape(0)), n = size_of(out.shape(1));
  require(k >= 1 && k * bits % 8 == 0, "rows must take whole bytes");
  require(0 <= first && first <= last && last <= n, "the rows are out of range");
  require(size_of(data.size()) == n * (k * bits / 8), "the data have the wrong size");
  const int64_t prepared = prepared_size(rows, k, bits);
  require(size_of(x.size()) == (prepared ? prepared : rows * k), "x has the wrong size");
  require((bits < 8) == tables.has_value(), "tables go with less than 8 bits");
  if (tables) {
    require(size_of(tables->shape(1)) == table_entries(bits) && tables->shape(0) > 0 && n % size_of(tables->shape(0)) == 0,
            "the tables have the wrong size");
  }
  const int64_t each = chunk_size(bits);
  const bool lanes_fit = bits < 8 && each % block == 0 && block % chunk_vectors(bits) == 0;
  require(block >= 1 && k % block == 0 && (block == k || block % each == 0 || lanes_fit), "blocks do not fit");
  require(block == k || scale, "blocks need scales");
  for (const int64_t size : {scale ? size_of(scale->size()) : -1, offset ? size_of(offset->size()) : -1}) {
    require(size == -1 || size == n * (k / block), "scales or offsets have the wrong size");
  }
  if (bias) require(size_of(bias->size()) == n, "one bias a row is needed");
  require(rows == 1 || size_of(panel.size()) >= room_for_panel(bits), "the panel is too small");
  const EncodedWeight<Bits> weight{data.data(), bits, is_signed, tables ? tables->data() : nullptr,
                                   tables ? n / size_of(tables->shape(0)) : 1, data_or_null(scale), data_or_null(offset),
                                   offset_base, block, n, k};
  const EncodedOut to{data_or_null(bias), out.data(), n};
  const float* from = prepared ? start_of_line(x.data()) : x.data();
  float* decoded = start_of_line(panel.data());
  nb::gil_scoped_release release;
  if (rows == 1) {
    kernels_of<Bits>(encoded()).multiply(from, weight, first, last, to);
  } else {
    kernels_of<Bits>(encoded_panels()).multiply(from, rows, weight, first, last, decoded, to);
  }
}

template <typename Bits>
void bind(nb::module_& m, const char* name) {
  const auto array = [](const char* argument) { return nb::arg(argument).noconvert(); };
  m.def(name, &multiply<Bits>, array("x"), array("data"), nb::arg("bits"), nb::arg("is_signed"),
        array("tables").none(), array("scale").none(), array("offset").none(), nb::arg("offset_base"), nb::arg("block"),
        nb::arg("k"), array("bias").none(), nb::arg("first"), nb::arg("last"), array("panel"), array("out"));
}

}  // namespace

void bind_encoded(nb::module_& m) {
  m.def("encoded_prepared_size", &prepared_size, nb::arg("rows"), nb::arg("k"), nb::arg("bits"));
  m.def("encoded_panel_size", &room_for_panel, nb::arg("bits"));
  m.def("encoded_prepare", &prepare, nb::arg("x").noconvert(), nb::arg("bits"), nb::arg("prepared").noconvert());
  bind<uint16_t>(m, "encoded_multiply_half");
  bind<uint32_t>(m, "encoded_multiply_single");
}

}  // namespace mlpress
