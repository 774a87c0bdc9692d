#include "code_conv.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <type_traits>

#include <nanobind/stl/array.h>

#include "arrays.hpp"

namespace mlpress {
namespace {

using Image = nb::ndarray<const uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
template <typename T>
using OutImage = nb::ndarray<T, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Pair = std::array<int64_t, 2>;  // of the vertical and the horizontal axis

// Windows that are worked on at a time.
constexpr int64_t windows_at_once = 112;

constexpr int64_t lanes = 16;

// Lines of an image.
struct Source {
  const uint8_t* from;
  int64_t height, width, channels;

  int64_t line_size() const { return width * channels; }
};

// Copies what windows cover whose first begins `top` lines below the first line of the image, and `left` places left
// of it. What lies outside is filled with `zero`; three bytes behind the copy may be read.
void copy_covered(Source image, int64_t top, int64_t left, uint8_t zero, Source to, uint8_t* out) {
  const int64_t before = left * image.channels, inside = std::min(image.line_size(), to.line_size() - before);
  for (int64_t y = 0; y < to.height; ++y, out += to.line_size()) {
    const int64_t line = top + y;
    if (line < 0 || line >= image.height) {
      std::fill_n(out, to.line_size(), zero);
      continue;
    }
    std::fill_n(out, before, zero);
    std::copy_n(image.from + line * image.line_size(), inside, out + before);
    std::fill_n(out + before + inside, to.line_size() - before - inside, zero);
  }
  std::fill_n(out, 3, zero);
}

template <typename Out>
auto kernel_for(const CodeConvTable& table) {
  if constexpr (std::is_same_v<Out, uint8_t>) {
    return table.to_codes;
  } else {
    return table.to_numbers;
  }
}

// Lines of windows, part by part: what is read and made stays in a cache while all of the weight passes by.
template <typename Out>
void convolve_lines(Windows x, WindowRuns runs, const int8_t* weight, int64_t n, const CodeFinish& finish, Out* out) {
  const int64_t parts = (x.windows + windows_at_once - 1) / windows_at_once;
  const int64_t together = std::max<int64_t>(1, windows_at_once / x.windows);
  for (int64_t line = 0; line < x.lines; line += together) {
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t first = x.windows * part / parts, place = (line * x.windows + first) * n;
      Windows some = x;
      some.x += line * x.line_step + first * x.step;
      some.lines = std::min(together, x.lines - line);
      some.windows = x.windows * (part + 1) / parts - first;
      CodeFinish here = finish;
      if (here.residual.codes) here.residual.codes += place;
      kernel_for<Out>(code_conv())(some, runs, weight, n, here, x.windows * n, out + place);
    }
  }
}

// Lines `first` to `last` of the output, those of all images counted.
template <typename Out>
void convolve(Image x, int zero, In<int8_t> weight, Pair kernel, Pair strides, Pair before, In<int32_t> start,
              In<float> scale, In<float> bias, float low, float high, int code_zero, std::optional<Image> residual,
              std::array<float, 5> residual_finish, int64_t first, int64_t last, OutImage<Out> out) {
  const auto size = [](const auto& array, size_t axis) { return static_cast<int64_t>(array.shape(axis)); };
  const int64_t images = size(out, 0), lines = size(out, 1), windows = size(out, 2), n = size(out, 3);
  const Source image{x.data(), size(x, 1), size(x, 2), size(x, 3)};
  require(size(x, 0) == images, "x and out are of different numbers of images");
  require(0 <= first && first <= last && last <= images * lines, "the lines are out of range");
  for (size_t axis = 0; axis < 2; ++axis) {
    require(kernel[axis] > 0 && strides[axis] > 0 && before[axis] >= 0, "the window is not possible");
  }
  const int64_t run_size = kernel[1] * image.channels;
  WindowRuns runs{kernel[0], image.line_size(), (run_size + 3) / 4};
  const int64_t columns = (n + lanes - 1) / lanes * lanes;
  require(static_cast<int64_t>(weight.size()) == runs.count * runs.fours * 4 * columns, "the weight has the wrong size");
  for (const size_t found : {start.size(), scale.size(), bias.size()}) {
    require(static_cast<int64_t>(found) == columns, "starts, scales or biases have the wrong size");
  }
  if (residual) {
    for (size_t axis = 0; axis < 4; ++axis) {
      require(residual->shape(axis) == out.shape(axis), "the residual has another shape than the output");
    }
  }
  const auto [residual_scale, residual_shift, own_scale, sum_low, sum_high] = residual_finish;
  const CodeFinish finish{
      start.data(), scale.data(), bias.data(), low, high, static_cast<float>(code_zero),
      {residual ? residual->data() : nullptr, residual_scale, residual_shift, own_scale, sum_low, sum_high}};
  const int8_t* matrix = weight.data();
  Out* to = out.data();
  nb::gil_scoped_release release;
  if (first == last || out.size() == 0) return;
  const auto covered = [&](int64_t some) { return (some - 1) * strides[0] + kernel[0]; };
  const int64_t width = (windows - 1) * strides[1] + kernel[1];
  // Codes of zero around the image are put there; and what is read four by four must not end behind it.
  const bool copied =
      before[0] || before[1] || covered(lines) > image.height || width > image.width || run_size % 4;
  const auto convolve_some = [&](Source source, int64_t line, Windows some) {
    some.x = source.from;
    some.line_step = strides[0] * source.line_size();
    some.step = strides[1] * source.channels;
    runs.step = source.line_size();
    CodeFinish here = finish;
    const int64_t place = line * windows * n;
    if (here.residual.codes) here.residual.codes += place;
    convolve_lines(some, runs, matrix, n, here, to + place);
  };
  if (run_size == image.channels && kernel[0] == 1 && strides == Pair{1, 1} && !copied && image.width == windows &&
      image.height == lines) {
    // One line follows the other, so they are worked on as one.
    Source all = image;
    all.from += first * image.line_size();
    return convolve_some(all, first, {nullptr, 1, 0, (last - first) * windows, 0});
  }
  const std::unique_ptr<uint8_t[]> copy(
      copied ? new uint8_t[covered(std::min(lines, last - first)) * width * image.channels + 3] : nullptr);
  for (int64_t line = first; line < last;) {
    const int64_t i = line / lines, top = line % lines * strides[0] - before[0];
    const int64_t count = std::min(lines - line % lines, last - line);
    Source source = image;
    source.from += i * image.height * image.line_size();
    if (copied) {
      const Source part{copy.get(), covered(count), width, image.channels};
      copy_covered(source, top, before[1], static_cast<uint8_t>(zero), part, copy.get());
      source = part;
    } else {
      source.from += top * image.line_size();
    }
    convolve_some(source, line, {nullptr, count, 0, windows, 0});
    line += count;
  }
}

template <typename Out>
void bind(nb::module_& m, const char* name) {
  const auto array = [](const char* argument) { return nb::arg(argument).noconvert(); };
  m.def(name, &convolve<Out>, array("x"), nb::arg("zero"), array("weight"), nb::arg("kernel"), nb::arg("strides"),
        nb::arg("before"), array("start"), array("scale"), array("bias"), nb::arg("low"), nb::arg("high"),
        nb::arg("code_zero"), array("residual").none(), nb::arg("residual_finish"), nb::arg("first"), nb::arg("last"),
        array("out"));
}

}  // namespace

void bind_code_conv(nb::module_& m) {
  bind<uint8_t>(m, "convolve_to_codes");
  bind<float>(m, "convolve_to_numbers");
}

}  // namespace mlpress
