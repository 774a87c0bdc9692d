#include "conv.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "arrays.hpp"

namespace mlpress {
namespace {

using Image = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using OutImage = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

// Rows that are worked on at a time: their part of the result stays in a cache while all of the weight passes by.
constexpr int64_t rows_at_once = 112;

// Rows this many floats apart, or a multiple of it, would share one set of the first-level cache and push each other out,
// so they are copied to where they are not.
constexpr int64_t crowded_step = 1024, line = 16;

int64_t size_of(const Image& image, size_t axis) { return static_cast<int64_t>(image.shape(axis)); }

Finish checked_finish(const std::optional<In<float>>& bias, const std::optional<Image>& residual, bool relu,
                      const OutImage& out) {
  require(out.shape(3) % 16 == 0, "the number of output channels is no multiple of 16");
  if (bias) require(bias->size() == out.shape(3), "one bias for each output channel is needed");
  if (residual) {
    for (size_t axis = 0; axis < 4; ++axis) {
      require(residual->shape(axis) == out.shape(axis), "the residual has another shape than the output");
    }
  }
  return {bias ? bias->data() : nullptr, residual ? residual->data() : nullptr, relu ? 0.0f : -HUGE_VALF};
}

void pointwise(Image x, In<float> weight, std::optional<In<float>> bias, std::optional<Image> residual, bool relu,
               OutImage out) {
  for (size_t axis = 0; axis < 3; ++axis) {
    require(x.shape(axis) == out.shape(axis), "the output has another shape than the image");
  }
  const int64_t k = size_of(x, 3), n = static_cast<int64_t>(out.shape(3));
  require(static_cast<int64_t>(weight.size()) == k * n, "the weight has the wrong size");
  const Finish finish = checked_finish(bias, residual, relu, out);
  const int64_t rows = size_of(x, 0) * size_of(x, 1) * size_of(x, 2);
  const int64_t parts = (rows + rows_at_once - 1) / rows_at_once;
  const float *from = x.data(), *matrix = weight.data();
  float* to = out.data();
  nb::gil_scoped_release release;
  const bool crowded = k % crowded_step == 0 && rows > 1;
  const int64_t step = crowded ? k + line : k;
  std::vector<float> apart(crowded ? std::min(rows, rows_at_once) * step : 0);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t row = rows * part / parts, count = rows * (part + 1) / parts - row;
    const float* a = from + row * k;
    if (crowded) {
      for (int64_t r = 0; r < count; ++r) std::copy_n(a + r * k, k, &apart[r * step]);
      a = apart.data();
    }
    Finish here = finish;
    if (here.residual) here.residual += row * n;
    conv().multiply(a, step, count, k, matrix, n, here, to + row * n);
  }
}

// Tiles that are worked on at a time: few, so that they stay in a cache, if the weight does so too; else enough to be
// worth reading it again.
int64_t tiles_at_once(int64_t channels_in, int64_t channels_out) {
  constexpr int64_t cached_weight = int64_t{1} << 20;
  return tile_places * channels_in * channels_out <= cached_weight ? 28 : 84;
}

int64_t winograd_scratch(int64_t channels_in, int64_t channels_out) {
  return tiles_at_once(channels_in, channels_out) * tile_places * (channels_in + channels_out);
}

void winograd(Image x, In<float> weight, std::optional<In<float>> bias, std::optional<Image> residual, bool relu,
              Out<float> scratch, OutImage out) {
  for (size_t axis = 0; axis < 3; ++axis) {
    require(x.shape(axis) == out.shape(axis), "the output has another shape than the image");
  }
  const int64_t k = size_of(x, 3), n = static_cast<int64_t>(out.shape(3));
  require(k % 16 == 0, "the number of input channels is no multiple of 16");
  require(static_cast<int64_t>(weight.size()) == tile_places * k * n, "the weight has the wrong size");
  require(static_cast<int64_t>(scratch.size()) >= winograd_scratch(k, n), "the scratch is too small");
  const Finish finish = checked_finish(bias, residual, relu, out);
  const Images in_shape{size_of(x, 1), size_of(x, 2), k}, out_shape{size_of(x, 1), size_of(x, 2), n};
  const auto tiles_over = [](int64_t size) { return (size + tile_outputs - 1) / tile_outputs; };
  const int64_t tiles = size_of(x, 0) * tiles_over(in_shape.height) * tiles_over(in_shape.width);
  const int64_t at_once = tiles_at_once(k, n), parts = (tiles + at_once - 1) / at_once;
  const float *from = x.data(), *matrices = weight.data();
  float *to = out.data(), *inputs = scratch.data(), *products = inputs + at_once * tile_places * k;
  nb::gil_scoped_release release;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = tiles * part / parts, count = tiles * (part + 1) / parts - first;
    conv().spread(from, in_shape, first, count, inputs);
    for (int64_t place = 0; place < tile_places; ++place) {
      conv().multiply(inputs + place * count * k, k, count, k, matrices + place * k * n, n,
                      {nullptr, nullptr, -HUGE_VALF}, products + place * count * n);
    }
    conv().gather(products, out_shape, first, count, finish, to);
  }
}

}  // namespace

void bind_conv(nb::module_& m) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  m.def("pointwise", &pointwise, array("x"), array("weight"), array("bias").none(), array("residual").none(),
        nb::arg("relu"), array("out"));
  m.def("winograd_scratch", &winograd_scratch, nb::arg("channels_in"), nb::arg("channels_out"));
  m.def("winograd", &winograd, array("x"), array("weight"), array("bias").none(), array("residual").none(), nb::arg("relu"),
        array("scratch"), array("out"));
}

}  // namespace mlpress
