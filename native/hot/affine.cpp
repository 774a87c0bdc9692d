#include "affine.hpp"

#include "code_lanes.hpp"
#include "floats.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

bool is_finite(double x) { return x - x == 0; }

// Half to even, for magnitudes below 2^51: the addition drops the fraction.
double to_integer(double x) { return (x + 6755399441055744.0) - 6755399441055744.0; }

template <typename Bits>
void symmetric_scales(const Bits* rows, int64_t count, int64_t length, int span, Bits* scale) {
  using F = Floats<Bits>;
  for (int64_t r = 0; r < count; ++r, rows += length) {
    // Magnitudes order like their bits, and NaN and infinity come out on top.
    typename F::Key peak = 0;
    for (int64_t i = 0; i < length; ++i) {
      const typename F::Key magnitude = static_cast<typename F::Key>(rows[i] & F::magnitude);
      peak = magnitude > peak ? magnitude : peak;
    }
    const float value = F::value(static_cast<Bits>(peak));
    // In double so that doubling can't overflow; for float16 one float division is what NumPy does.
    const float quotient = sizeof(Bits) == 2 ? 2.0f * value / static_cast<float>(span)
                                             : static_cast<float>(2.0 * value / span);
    const Bits rounded = F::bits(quotient);
    scale[r] = rounded == 0 && peak != 0 ? Bits{1} : rounded;
  }
}

// Smallest and largest of the row and zero; NaN and infinity survive in at least one of them.
template <typename Bits>
void extremes(const Bits* row, int64_t length, float* bottom, float* top) {
  using F = Floats<Bits>;
  using Key = typename F::Key;
  constexpr int shift = 8 * sizeof(Bits) - 1;
  // Negative values get their magnitude flipped, so that integers order as the floats do.
  Key low = 0, high = 0;
  for (int64_t i = 0; i < length; ++i) {
    const Key bits = static_cast<Key>(row[i]);
    const Key key = static_cast<Key>(bits ^ ((bits >> shift) & static_cast<Key>(F::magnitude)));
    low = key < low ? key : low;
    high = key > high ? key : high;
  }
  *bottom = F::value(static_cast<Bits>(low ^ ((low >> shift) & static_cast<Key>(F::magnitude))));
  *top = F::value(static_cast<Bits>(high));
}

template <typename Bits>
void asymmetric_parameters(const Bits* rows, int64_t count, int64_t length, int low, int high, Bits* scale,
                           int32_t* zero_point) {
  using F = Floats<Bits>;
  const float span = static_cast<float>(high - low);
  for (int64_t r = 0; r < count; ++r, rows += length) {
    float bottom, top;
    extremes(rows, length, &bottom, &top);
    const double wide = static_cast<double>(top) - bottom;
    const float extent = F::rounded(top - bottom);
    scale[r] = F::bits(is_finite(extent) ? extent / span : static_cast<float>(wide / span));
    if (scale[r] == 0 && wide > 0) scale[r] = 1;
    const float numerator =
        F::rounded(F::rounded(static_cast<float>(low) * top) - F::rounded(static_cast<float>(high) * bottom));
    double zero = F::rounded(numerator / extent);
    if (!is_finite(zero)) zero = (low * static_cast<double>(top) - high * static_cast<double>(bottom)) / wide;
    if (!is_finite(zero)) zero = 0;
    zero_point[r] = static_cast<int32_t>(to_integer(zero < low ? low : zero > high ? high : zero));
  }
}

template <typename Bits, bool nearest>
void quantize_row(const Bits* row, int64_t length, float scale, float zero, float low, float high, uint8_t* codes) {
  const Lanes divisor = all(scale), shift = all(zero), bottom = all(low - zero), top = all(high - zero);
  each_step(length, [=](int64_t i, int count) {
    const Lanes x = load_some(row + i, count), quotient = x / divisor;
    const Lanes step = nearest ? nearest_code<Bits>(x, quotient, divisor, bottom, top).code
                               : round(clamp(Floats<Bits>::rounded(quotient), bottom, top));
    store_codes(codes + i, step + shift, count);
  });
}

template <typename Bits, bool nearest>
void quantize(const Bits* rows, int64_t count, int64_t length, const Bits* scale, const int32_t* zero_point, int low,
              int high, uint8_t* codes) {
  for (int64_t r = 0; r < count; ++r, rows += length, codes += length) {
    const float value = Floats<Bits>::value(scale[r]);
    if (value == 0) {
      memset(codes, zero_point[r] & 0xff, static_cast<size_t>(length));
      continue;
    }
    quantize_row<Bits, nearest>(rows, length, value, static_cast<float>(zero_point[r]), static_cast<float>(low),
                                static_cast<float>(high), codes);
  }
}

template <typename Bits, bool is_signed>
void dequantize(const uint8_t* codes, int64_t count, int64_t length, const Bits* scale, const int32_t* zero_point,
                Bits* rows) {
  for (int64_t r = 0; r < count; ++r, rows += length, codes += length) {
    const Lanes factor = all(Floats<Bits>::value(scale[r])), zero = all(static_cast<float>(zero_point[r]));
    each_step(length, [=](int64_t i, int some) {
      const uint8_t* from = codes + i;
      uint8_t padded[kLanes] = {};
      if (some < kLanes) {
        memcpy(padded, from, static_cast<size_t>(some));
        from = padded;
      }
      const Lanes code = is_signed ? load_i8(from) : load_u8(from);
      store_some(rows + i, (code - zero) * factor, some);
    });
  }
}

template <typename Bits>
constexpr AffineOf<Bits> table() {
  return {symmetric_scales<Bits>,  asymmetric_parameters<Bits>, quantize<Bits, false>,
          quantize<Bits, true>, dequantize<Bits, true>,      dequantize<Bits, false>};
}

}  // namespace

extern const AffineTable affine_table;
const AffineTable affine_table = {table<uint16_t>(), table<uint32_t>()};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
