#include "encoded.hpp"

#include <type_traits>

#include "arrays.hpp"

namespace mlpress {
namespace {

template <typename Bits>
const EncodedOf<Bits>& kernels() {
  if constexpr (std::is_same_v<Bits, uint16_t>) {
    return encoded().half;
  } else {
    return encoded().single;
  }
}

int64_t size_of(size_t size) { return static_cast<int64_t>(size); }

void require_bits(int bits) {
  require((1 <= bits && bits <= 4) || bits == 6 || bits == 8, "bits must be 1, 2, 3, 4, 6 or 8");
}

void arrange(In2<float> x, int bits, Out2<float> arranged) {
  require_bits(bits);
  const int64_t rows = size_of(x.shape(0)), k = size_of(x.shape(1));
  require(arranged.shape(0) == x.shape(0) && size_of(arranged.shape(1)) == arranged_size(k, bits),
          "the arranged rows have the wrong size");
  const float* from = x.data();
  float* to = arranged.data();
  nb::gil_scoped_release release;
  encoded().arrange(from, rows, k, bits, to);
}

template <typename T>
const T* data_or_null(const std::optional<In<T>>& array) {
  return array ? array->data() : nullptr;
}

// Rows `first` to `last` of the weight, which has as many rows as `out` columns.
template <typename Bits>
void multiply(In2<float> arranged, In<uint8_t> data, int bits, bool is_signed, std::optional<In2<float>> tables,
              std::optional<In<Bits>> scale, std::optional<In<uint8_t>> offset, float offset_base, int64_t block,
              int64_t k, std::optional<In<float>> bias, int64_t first, int64_t last, Out<float> scratch,
              Out2<float> out) {
  require_bits(bits);
  const int64_t rows = size_of(out.shape(0)), n = size_of(out.shape(1));
  require(k >= 1 && k * bits % 8 == 0, "rows must take whole bytes");
  require(0 <= first && first <= last && last <= n, "the rows are out of range");
  require(size_of(data.size()) == n * (k * bits / 8), "the data have the wrong size");
  require(size_of(arranged.shape(0)) == rows && size_of(arranged.shape(1)) == arranged_size(k, bits),
          "the arranged rows have the wrong size");
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
  require(size_of(scratch.size()) >= decoded_scratch(k, bits), "the scratch is too small");
  const EncodedWeight<Bits> weight{data.data(), bits, is_signed, tables ? tables->data() : nullptr,
                                   tables ? n / size_of(tables->shape(0)) : 1, data_or_null(scale), data_or_null(offset),
                                   offset_base, block, n, k};
  const EncodedOut to{data_or_null(bias), out.data(), n};
  const float* from = arranged.data();
  float* free_floats = scratch.data();
  nb::gil_scoped_release release;
  kernels<Bits>().multiply(from, rows, weight, first, last, free_floats, to);
}

template <typename Bits>
void bind(nb::module_& m, const char* name) {
  const auto array = [](const char* argument) { return nb::arg(argument).noconvert(); };
  m.def(name, &multiply<Bits>, array("arranged"), array("data"), nb::arg("bits"), nb::arg("is_signed"),
        array("tables").none(), array("scale").none(), array("offset").none(), nb::arg("offset_base"), nb::arg("block"),
        nb::arg("k"), array("bias").none(), nb::arg("first"), nb::arg("last"), array("scratch"), array("out"));
}

}  // namespace

void bind_encoded(nb::module_& m) {
  m.def("encoded_arranged_size", &arranged_size, nb::arg("k"), nb::arg("bits"));
  m.def("encoded_scratch", &decoded_scratch, nb::arg("k"), nb::arg("bits"));
  m.def("encoded_arrange", &arrange, nb::arg("x").noconvert(), nb::arg("bits"), nb::arg("arranged").noconvert());
  bind<uint16_t>(m, "encoded_multiply_half");
  bind<uint32_t>(m, "encoded_multiply_single");
}

}  // namespace mlpress
