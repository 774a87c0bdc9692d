// Sixteen 8-bit codes at a time, or as many as are there.
#pragma once

#include "lanes.hpp"

namespace mlpress {
namespace MLPRESS_ISA {

// Lanes that are not there are zero.
static inline Lanes load_codes(const uint8_t* p, int count) {
  if (count == kLanes) return load_u8(p);
  uint8_t padded[kLanes] = {};
  memcpy(padded, p, static_cast<size_t>(count));
  return load_u8(padded);
}

// Takes whole numbers. By reference: GCC 12 passes vectors to functions that it does not inline on a stack that it does
// not align.
static inline void store_codes(uint8_t* p, const Lanes& a, int count) {
  if (count == kLanes) return store_bytes(p, a);
  uint8_t all_codes[kLanes];
  store_bytes(all_codes, a);
  memcpy(p, all_codes, static_cast<size_t>(count));
}

}  // namespace MLPRESS_ISA
}  // namespace mlpress
