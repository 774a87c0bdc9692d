// float16 and float32 behind one set of names, chosen by the type of their bits.
#pragma once

#include "half.hpp"
#include "lanes.hpp"

namespace mlpress {
namespace MLPRESS_ISA {

template <typename Bits>
struct Floats;

template <>
struct Floats<uint16_t> {
  using Key = int16_t;
  static constexpr uint16_t magnitude = 0x7fff, infinity = 0x7c00;
  static float value(uint16_t bits) { return half_to_float(bits); }
  static uint16_t bits(float value) { return float_to_half(value); }
  static float rounded(float value) { return half_to_float(float_to_half(value)); }
  static Lanes load_lanes(const uint16_t* p) { return load_half(p); }
  static void store_lanes(uint16_t* p, Lanes a) { store_half(p, a); }
  static Lanes rounded(Lanes a) { return to_half(a); }
};

template <>
struct Floats<uint32_t> {
  using Key = int32_t;
  static constexpr uint32_t magnitude = 0x7fffffff, infinity = 0x7f800000;
  static float value(uint32_t bits) { return bits_float(bits); }
  static uint32_t bits(float value) { return float_bits(value); }
  static float rounded(float value) { return value; }
  static Lanes load_lanes(const uint32_t* p) { return load(reinterpret_cast<const float*>(p)); }
  static void store_lanes(uint32_t* p, Lanes a) { store(reinterpret_cast<float*>(p), a); }
  static Lanes rounded(Lanes a) { return a; }
};

// What a code stands for, as it is stored, and how far that is from a value.
struct Decoded {
  Lanes code, error;
};

// The code whose stored value is nearest to x, given the quotient of x and the scale. Rounding the decoded value can
// make a neighbour of the nearest integer the better code.
template <typename Bits>
static inline Decoded nearest_code(Lanes x, Lanes quotient, Lanes scale, Lanes low, Lanes high) {
  const Lanes code = round(clamp(quotient, low, high));
  const Lanes error = x - Floats<Bits>::rounded(code * scale);
  const Lanes neighbour = clamp(code + where_less(error, all(0), all(-1), all(1)), low, high);
  const Lanes other = x - Floats<Bits>::rounded(neighbour * scale);
  const Lanes square = error * error, other_square = other * other;
  return {where_less(other_square, square, neighbour, code), where_less(other_square, square, other, error)};
}

// Calls step(i, count) for i = 0, 16, ...; count is below 16 for the last, incomplete step only.
template <typename Step>
static inline void each_step(int64_t length, Step step) {
  int64_t i = 0;
  for (; i + kLanes <= length; i += kLanes) step(i, kLanes);
  if (i < length) step(i, static_cast<int>(length - i));
}

// Missing lanes are zero.
template <typename Bits>
static inline Lanes load_some(const Bits* p, int count) {
  if (count == kLanes) return Floats<Bits>::load_lanes(p);
  Bits padded[kLanes] = {};
  for (int i = 0; i < count; ++i) padded[i] = p[i];
  return Floats<Bits>::load_lanes(padded);
}

template <typename Bits>
static inline void store_some(Bits* p, Lanes a, int count) {
  if (count == kLanes) return Floats<Bits>::store_lanes(p, a);
  Bits padded[kLanes];
  Floats<Bits>::store_lanes(padded, a);
  for (int i = 0; i < count; ++i) p[i] = padded[i];
}

}  // namespace MLPRESS_ISA
}  // namespace mlpress
