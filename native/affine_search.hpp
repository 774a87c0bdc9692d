#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// Improves parameters in place: rows are [count, length], scale and zero_point hold those by largest magnitude or by
// range. Rows must be finite.
template <typename Bits>
struct AffineSearchOf {
  void (*symmetric)(const Bits* rows, int64_t count, int64_t length, int low, int high, Bits* scale,
                    const int32_t* zero_point);
  void (*asymmetric)(const Bits* rows, int64_t count, int64_t length, int low, int high, Bits* scale,
                     int32_t* zero_point);
};

struct AffineSearchTable {
  AffineSearchOf<uint16_t> half;
  AffineSearchOf<uint32_t> single;
};

}  // namespace mlpress

MLPRESS_DISPATCH(AffineSearchTable, affine_search)
