#include "codes.hpp"

#include "arrays.hpp"

namespace mlpress {
namespace {

void add_codes(In<uint8_t> x, float x_scale, int x_zero, In<uint8_t> y, float y_scale, float y_shift, int zero, int low,
               int high, Out<uint8_t> out) {
  require(x.size() == out.size() && y.size() == out.size(), "x, y and out must have the same size");
  require(low >= 0 && high <= 255 && low <= zero && zero <= high, "codes do not fit a byte");
  const CodeSum sum{x_scale, static_cast<float>(x_zero), y_scale, y_shift, static_cast<float>(low - zero),
                    static_cast<float>(high - zero), static_cast<float>(zero)};
  const int64_t count = static_cast<int64_t>(out.size());
  const uint8_t *left = x.data(), *right = y.data();
  uint8_t* to = out.data();
  nb::gil_scoped_release release;
  codes().add(left, right, count, sum, to);
}

}  // namespace

void bind_codes(nb::module_& m) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  m.def("add_codes", &add_codes, array("x"), nb::arg("x_scale"), nb::arg("x_zero"), array("y"), nb::arg("y_scale"),
        nb::arg("y_shift"), nb::arg("zero"), nb::arg("low"), nb::arg("high"), array("out"));
}

}  // namespace mlpress
