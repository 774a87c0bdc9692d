#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// Rows are [count, length]; zero points are one a row and lie in low..high.
template <typename Bits>
struct AffineOf {
  void (*symmetric_scales)(const Bits* rows, int64_t count, int64_t length, int span, Bits* scale);
  void (*asymmetric_parameters)(const Bits* rows, int64_t count, int64_t length, int low, int high, Bits* scale,
                                int32_t* zero_point);
  void (*quantize)(const Bits* rows, int64_t count, int64_t length, const Bits* scale, const int32_t* zero_point,
                   int low, int high, uint8_t* codes);
  void (*quantize_nearest)(const Bits* rows, int64_t count, int64_t length, const Bits* scale,
                           const int32_t* zero_point, int low, int high, uint8_t* codes);
  void (*dequantize_signed)(const uint8_t* codes, int64_t count, int64_t length, const Bits* scale,
                            const int32_t* zero_point, Bits* rows);
  void (*dequantize_unsigned)(const uint8_t* codes, int64_t count, int64_t length, const Bits* scale,
                              const int32_t* zero_point, Bits* rows);
};

// float16 is uint16_t, float32 is uint32_t.
struct AffineTable {
  AffineOf<uint16_t> half;
  AffineOf<uint32_t> single;
};

}  // namespace mlpress

MLPRESS_DISPATCH(AffineTable, affine)
