#include "affine.hpp"
#include "affine_search.hpp"

#include <type_traits>

#include "arrays.hpp"

namespace mlpress {
namespace {

template <typename Bits>
const AffineOf<Bits>& kernels() {
  if constexpr (std::is_same_v<Bits, uint16_t>) {
    return affine().half;
  } else {
    return affine().single;
  }
}

struct Shape {
  int64_t count, length;
};

template <typename Rows, typename Scale>
Shape shape_of(const Rows& rows, const Scale& scale) {
  require(scale.size() == rows.shape(0), "one scale a row is needed");
  return {static_cast<int64_t>(rows.shape(0)), static_cast<int64_t>(rows.shape(1))};
}

void require_range(int low, int high) {
  require(low < high && low >= -128 && high <= 255 && high - low <= 255, "codes do not fit a byte");
}

template <typename Bits>
void symmetric_scales(In2<Bits> rows, int span, Out<Bits> scale) {
  const Shape shape = shape_of(rows, scale);
  require(span >= 1, "span must be positive");
  const Bits* from = rows.data();
  Bits* to = scale.data();
  nb::gil_scoped_release release;
  kernels<Bits>().symmetric_scales(from, shape.count, shape.length, span, to);
}

template <typename Bits>
void asymmetric_parameters(In2<Bits> rows, int low, int high, Out<Bits> scale, Out<int32_t> zero_point) {
  const Shape shape = shape_of(rows, scale);
  require(zero_point.size() == rows.shape(0), "one zero point a row is needed");
  require_range(low, high);
  const Bits* from = rows.data();
  Bits* to = scale.data();
  int32_t* zero = zero_point.data();
  nb::gil_scoped_release release;
  kernels<Bits>().asymmetric_parameters(from, shape.count, shape.length, low, high, to, zero);
}

template <typename Bits, bool nearest>
void quantize(In2<Bits> rows, In<Bits> scale, In<int32_t> zero_point, int low, int high, Out2<uint8_t> codes) {
  const Shape shape = shape_of(rows, scale);
  require(zero_point.size() == rows.shape(0), "one zero point a row is needed");
  require(codes.shape(0) == rows.shape(0) && codes.shape(1) == rows.shape(1), "codes must have the shape of rows");
  require_range(low, high);
  const Bits* from = rows.data();
  const Bits* factor = scale.data();
  const int32_t* zero = zero_point.data();
  uint8_t* to = codes.data();
  nb::gil_scoped_release release;
  const auto kernel = nearest ? kernels<Bits>().quantize_nearest : kernels<Bits>().quantize;
  kernel(from, shape.count, shape.length, factor, zero, low, high, to);
}

template <typename Code, typename Bits>
void dequantize(In2<Code> codes, In<Bits> scale, In<int32_t> zero_point, Out2<Bits> rows) {
  const Shape shape = shape_of(codes, scale);
  require(zero_point.size() == codes.shape(0), "one zero point a row is needed");
  require(codes.shape(0) == rows.shape(0) && codes.shape(1) == rows.shape(1), "codes must have the shape of rows");
  const uint8_t* from = reinterpret_cast<const uint8_t*>(codes.data());
  const Bits* factor = scale.data();
  const int32_t* zero = zero_point.data();
  Bits* to = rows.data();
  nb::gil_scoped_release release;
  const auto kernel =
      std::is_same_v<Code, int8_t> ? kernels<Bits>().dequantize_signed : kernels<Bits>().dequantize_unsigned;
  kernel(from, shape.count, shape.length, factor, zero, to);
}

template <typename Bits>
const AffineSearchOf<Bits>& searches() {
  if constexpr (std::is_same_v<Bits, uint16_t>) {
    return affine_search().half;
  } else {
    return affine_search().single;
  }
}

template <typename Bits>
void search_symmetric(In2<Bits> rows, int low, int high, Out<Bits> scale, In<int32_t> zero_point) {
  const Shape shape = shape_of(rows, scale);
  require(zero_point.size() == rows.shape(0), "one zero point a row is needed");
  require_range(low, high);
  const Bits* from = rows.data();
  Bits* factor = scale.data();
  const int32_t* zero = zero_point.data();
  nb::gil_scoped_release release;
  searches<Bits>().symmetric(from, shape.count, shape.length, low, high, factor, zero);
}

template <typename Bits>
void search_asymmetric(In2<Bits> rows, int low, int high, Out<Bits> scale, Out<int32_t> zero_point) {
  const Shape shape = shape_of(rows, scale);
  require(zero_point.size() == rows.shape(0), "one zero point a row is needed");
  require_range(low, high);
  const Bits* from = rows.data();
  Bits* factor = scale.data();
  int32_t* zero = zero_point.data();
  nb::gil_scoped_release release;
  searches<Bits>().asymmetric(from, shape.count, shape.length, low, high, factor, zero);
}

template <typename Bits>
void bind(nb::module_& m) {
  m.def("affine_symmetric_scales", &symmetric_scales<Bits>, nb::arg("rows").noconvert(), nb::arg("span"),
        nb::arg("scale").noconvert());
  m.def("affine_asymmetric_parameters", &asymmetric_parameters<Bits>, nb::arg("rows").noconvert(), nb::arg("low"),
        nb::arg("high"), nb::arg("scale").noconvert(), nb::arg("zero_point").noconvert());
  m.def("affine_quantize", &quantize<Bits, false>, nb::arg("rows").noconvert(), nb::arg("scale").noconvert(),
        nb::arg("zero_point").noconvert(), nb::arg("low"), nb::arg("high"), nb::arg("codes").noconvert());
  m.def("affine_quantize_nearest", &quantize<Bits, true>, nb::arg("rows").noconvert(), nb::arg("scale").noconvert(),
        nb::arg("zero_point").noconvert(), nb::arg("low"), nb::arg("high"), nb::arg("codes").noconvert());
  m.def("affine_search_symmetric", &search_symmetric<Bits>, nb::arg("rows").noconvert(), nb::arg("low"),
        nb::arg("high"), nb::arg("scale").noconvert(), nb::arg("zero_point").noconvert());
  m.def("affine_search_asymmetric", &search_asymmetric<Bits>, nb::arg("rows").noconvert(), nb::arg("low"),
        nb::arg("high"), nb::arg("scale").noconvert(), nb::arg("zero_point").noconvert());
  m.def("affine_dequantize", &dequantize<int8_t, Bits>, nb::arg("codes").noconvert(), nb::arg("scale").noconvert(),
        nb::arg("zero_point").noconvert(), nb::arg("rows").noconvert());
  m.def("affine_dequantize", &dequantize<uint8_t, Bits>, nb::arg("codes").noconvert(), nb::arg("scale").noconvert(),
        nb::arg("zero_point").noconvert(), nb::arg("rows").noconvert());
}

}  // namespace

void bind_affine(nb::module_& m) {
  bind<uint16_t>(m);
  bind<uint32_t>(m);
}

}  // namespace mlpress
