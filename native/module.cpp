#include <nanobind/nanobind.h>

#include "isa.hpp"

namespace nb = nanobind;

namespace mlpress {
void bind_packing(nb::module_& m);
void bind_codes(nb::module_& m);
void bind_code_conv(nb::module_& m);
void bind_compare(nb::module_& m);
void bind_conv(nb::module_& m);
void bind_kmeans(nb::module_& m);
void bind_encoded(nb::module_& m);
void bind_grid(nb::module_& m);
void bind_affine(nb::module_& m);
void bind_masks(nb::module_& m);
void bind_vectors(nb::module_& m);
}  // namespace mlpress

NB_MODULE(_native, m) {
  m.doc() = "Compiled kernels of mlpress; call them through mlpress.kernels, which checks arguments.";
  // Instruction sets are numbered: 0 baseline, 1 AVX2, 2 AVX-512. Tests run each level that the machine has.
  m.def("detected_isa", [] { return static_cast<int>(mlpress::detected_isa()); });
  m.def("use_isa", [](int level) { return mlpress::use_isa(static_cast<mlpress::Isa>(level)); }, nb::arg("level"));
  mlpress::bind_packing(m);
  mlpress::bind_codes(m);
  mlpress::bind_code_conv(m);
  mlpress::bind_compare(m);
  mlpress::bind_conv(m);
  mlpress::bind_kmeans(m);
  mlpress::bind_encoded(m);
  mlpress::bind_grid(m);
  mlpress::bind_affine(m);
  mlpress::bind_masks(m);
  mlpress::bind_vectors(m);
}
