// Packed n-bit integers.
#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

struct PackingTable {
  // Element i occupies bits i*nbits .. i*nbits + nbits - 1 of the stream, least significant bit first. Writes
  // ceil(count * nbits / 8) bytes; padding bits are zero.
  void (*pack)(const uint8_t* values, int64_t count, int nbits, uint8_t* packed);
  // sign is 0, or 1 << (nbits - 1) to extend the sign. Reads ceil(count * nbits / 8) bytes.
  void (*unpack)(const uint8_t* packed, int64_t count, int nbits, uint8_t sign, uint8_t* values);
  int64_t (*popcount)(const uint8_t* bytes, int64_t count);
};

}  // namespace mlpress

MLPRESS_DISPATCH(PackingTable, packing)
