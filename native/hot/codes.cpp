#include "codes.hpp"

#include "floats.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

// Sixteen numbers of which `count` are there.
Lanes numbers(const uint8_t* codes, int count, Lanes scale, Lanes zero) {
  uint8_t padded[kLanes] = {};
  if (count < kLanes) {
    memcpy(padded, codes, static_cast<size_t>(count));
    codes = padded;
  }
  return (load_u8(codes) - zero) * scale;
}

void add(Codes x, Codes y, int64_t count, CodeTarget target, uint8_t* out) {
  const Lanes x_scale = all(x.scale), x_zero = all(x.zero), y_scale = all(y.scale), y_zero = all(y.zero);
  // What is cut off before it is rounded is cut off at whole numbers, so that the order makes no difference.
  const Lanes scale = all(target.scale), zero = all(target.zero);
  const Lanes least = all(target.low - target.zero), most = all(target.high - target.zero);
  each_step(count, [=](int64_t i, int some) {
    const Lanes total = numbers(x.codes + i, some, x_scale, x_zero) + numbers(y.codes + i, some, y_scale, y_zero);
    const Lanes code = round(clamp(total / scale, least, most)) + zero;
    if (some == kLanes) return store_bytes(out + i, code);
    uint8_t padded[kLanes];
    store_bytes(padded, code);
    memcpy(out + i, padded, static_cast<size_t>(some));
  });
}

}  // namespace

extern const CodesTable codes_table;
const CodesTable codes_table = {add};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
