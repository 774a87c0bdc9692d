#include "codes.hpp"

#include "code_lanes.hpp"
#include "floats.hpp"
#include "fma.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

void add(const uint8_t* x, const uint8_t* y, int64_t count, CodeSum sum, uint8_t* out) {
  const Lanes x_scale = all(sum.x_scale), x_zero = all(sum.x_zero), y_scale = all(sum.y_scale), y_shift = all(sum.y_shift);
  // What is cut off before it is rounded is cut off at whole numbers, so that the order makes no difference.
  const Lanes low = all(sum.low), high = all(sum.high), zero = all(sum.zero);
  each_step(count, [=](int64_t i, int some) {
    const Lanes second = fused(load_codes(y + i, some), y_scale, y_shift);
    const Lanes total = fused(load_codes(x + i, some) - x_zero, x_scale, second);
    store_codes(out + i, round(clamp(total, low, high)) + zero, some);
  });
}

}  // namespace

extern const CodesTable codes_table;
const CodesTable codes_table = {add};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
