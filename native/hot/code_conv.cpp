#ifdef MLPRESS_AVX2
#include <immintrin.h>
#endif

#include "code_conv.hpp"

#include <math.h>

#include "code_lanes.hpp"
#include "dots.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

// What of the weight is read next. Tiles share in asking for it, so that memory is asked all along.
struct Ahead {
  const int8_t* next;
  int64_t step;
};

void store_numbers(float* p, const Lanes& a, int count) {
  if (count == kLanes) return store(p, a);
  float all_numbers[kLanes];
  store(all_numbers, a);
  memcpy(p, all_numbers, sizeof(float) * static_cast<size_t>(count));
}

// Sixteen sums of which `count` are there, as numbers without limits.
struct Scaled {
  Lanes scale, bias;

  Lanes operator()(Sums sums) const { return fused(to_lanes(sums), scale, bias); }
};

// The whole number that becomes a code, with its limits.
struct Rounding {
  const CodeFinish& finish;
  bool adds = finish.residual.codes != nullptr;
  Lanes own_low = all(finish.low), own_high = all(finish.high);
  Lanes low = adds ? all(finish.residual.low) : own_low, high = adds ? all(finish.residual.high) : own_high;

  // Not cut off, but below 2^31; `place` is that in the output.
  Lanes operator()(const Lanes& number, int64_t place, int count) const {
    if (!adds) return smaller(number, high);
    const Residual& other = finish.residual;
    const Lanes code = to_lanes(to_whole(clamp(number, own_low, own_high)));
    const Lanes more = fused(load_codes(other.codes + place, count), all(other.scale), all(other.shift));
    return smaller(fused(code, all(other.own_scale), more), high);
  }
};

// What a tile does with its sums, [kRows][kWide]. The first of its results is number `place` of the output.
template <int kRows, int kWide>
void finish_tile(const Sums (&sums)[kRows][kWide], const CodeFinish& finish, int64_t, int64_t n, int64_t columns,
                 float* out) {
  const Lanes low = all(finish.low), high = all(finish.high);
  for (int w = 0; w < kWide; ++w) {
    const Scaled scaled{load(finish.scale + w * kLanes), load(finish.bias + w * kLanes)};
    const int count = columns - w * kLanes < kLanes ? static_cast<int>(columns - w * kLanes) : kLanes;
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) store_numbers(out + r * n + w * kLanes, clamp(scaled(sums[r][w]), low, high), count);
  }
}

template <int kRows, int kWide>
void finish_tile(const Sums (&sums)[kRows][kWide], const CodeFinish& finish, int64_t place, int64_t n, int64_t columns,
                 uint8_t* out) {
  const Rounding rounding{finish};
  if constexpr (kWide == 2) {
    if (columns >= kWide * kLanes) {
      const Scaled left{load(finish.scale), load(finish.bias)};
      const Scaled right{load(finish.scale + kLanes), load(finish.bias + kLanes)};
      const int zero = static_cast<int>(finish.zero);
      const auto limit = [zero](float at) { return static_cast<int>(nearbyintf(at)) + zero; };
      const int low = limit(rounding.adds ? finish.residual.low : finish.low);
      const int high = limit(rounding.adds ? finish.residual.high : finish.high);
      MLPRESS_UNROLL
      for (int r = 0; r < kRows; r += 2) {
        const int s = r + 1 < kRows ? r + 1 : r;
        const int64_t at = r * n, next = s * n;
        store_rows(out + at, out + next, to_whole(rounding(left(sums[r][0]), place + at, kLanes)),
                   to_whole(rounding(right(sums[r][1]), place + at + kLanes, kLanes)),
                   to_whole(rounding(left(sums[s][0]), place + next, kLanes)),
                   to_whole(rounding(right(sums[s][1]), place + next + kLanes, kLanes)), zero, low, high);
      }
      return;
    }
  }
  for (int w = 0; w < kWide; ++w) {
    const Scaled scaled{load(finish.scale + w * kLanes), load(finish.bias + w * kLanes)};
    const int count = columns - w * kLanes < kLanes ? static_cast<int>(columns - w * kLanes) : kLanes;
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = r * n + w * kLanes;
      const Lanes number = clamp(rounding(scaled(sums[r][w]), place + at, count), rounding.low, rounding.high);
      store_codes(out + at, round(number) + all(finish.zero), count);
    }
  }
}

// `kRows` windows by `kWide` times sixteen columns, of which `columns` are there. Sums stay in registers.
template <int kRows, int kWide, typename Out>
void dot_tile(const uint8_t* x, int64_t x_step, WindowRuns runs, const int8_t* weight, int64_t weight_step, Ahead ahead,
              const CodeFinish& finish, int64_t place, int64_t n, int64_t columns, Out* out) {
  Sums sums[kRows][kWide];
  for (int w = 0; w < kWide; ++w) {
    const Sums start = load_sums(finish.start + w * kLanes);
    MLPRESS_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r][w] = start;
  }
  int row = 0;
  for (int64_t run = 0; run < runs.count; ++run) {
    const uint8_t* from = x + run * runs.step;
    for (int64_t i = 0; i < runs.fours; ++i, from += 4, weight += weight_step) {
      // A row at a time: memory takes only so many requests.
      if (row < kRows) {
        prefetch(out + row * n);
        if (finish.residual.codes) prefetch(finish.residual.codes + place + row * n);
        ++row;
      }
      for (int w = 0; w < kWide; ++w) prefetch_far(ahead.next + 64 * w);
      ahead.next += ahead.step;
      Weights by[kWide];
      for (int w = 0; w < kWide; ++w) by[w] = load_weights(weight + w * 4 * kLanes);
      MLPRESS_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const Four four = load_four(from + r * x_step);
        for (int w = 0; w < kWide; ++w) sums[r][w] = add_dot(sums[r][w], four, by[w]);
      }
    }
  }
  finish_tile(sums, finish, place, n, columns, out);
}

template <typename Out>
using DotTile = void (*)(const uint8_t*, int64_t, WindowRuns, const int8_t*, int64_t, Ahead, const CodeFinish&, int64_t,
                         int64_t, int64_t, Out*);

// The variant for 1 to kMost rows.
template <int kMost, int kWide, typename Out>
DotTile<Out> dot_tile_of(int64_t rows) {
  if constexpr (kMost == 1) {
    return dot_tile<1, kWide, Out>;
  } else {
    return rows == kMost ? dot_tile<kMost, kWide, Out> : dot_tile_of<kMost - 1, kWide, Out>(rows);
  }
}

template <typename Out>
void convolve(Windows x, WindowRuns runs, const int8_t* weight, int64_t n, CodeFinish finish, int64_t out_line_step,
              Out* out) {
  const int64_t each_line = (x.windows + kDotRows - 1) / kDotRows, tiles = x.lines * each_line;
  const int64_t fours = runs.count * runs.fours;
  for (int64_t panel = 0; panel < n; panel += code_panel_width) {
    const int64_t left = (n - panel + kLanes - 1) / kLanes * kLanes;
    const int64_t width = left < code_panel_width ? left : code_panel_width;
    const int8_t* after = weight + 4 * width * fours;
    for (int64_t column = 0, wide; column < width; column += wide) {
      wide = width - column < kDotLanes * kLanes ? kLanes : kDotLanes * kLanes;
      const int64_t first = panel + column;
      CodeFinish here = finish;
      here.start += first;
      here.scale += first;
      here.bias += first;
      for (int64_t t = 0; t < tiles; ++t) {
        // Tiles of almost equal height: a short one at the end would leave the arithmetic units waiting.
        const int64_t line = t / each_line, part = t % each_line;
        const int64_t row = x.windows * part / each_line, rows = x.windows * (part + 1) / each_line - row;
        const auto tile = wide == kLanes ? dot_tile_of<kDotRows, 1, Out>(rows) : dot_tile_of<kDotRows, kDotLanes, Out>(rows);
        const Ahead ahead{after + 4 * width * fours * t / tiles, (4 * width + tiles - 1) / tiles};
        const int64_t place = line * out_line_step + row * n + first;
        tile(x.x + line * x.line_step + row * x.step, x.step, runs, weight + 4 * column, 4 * width, ahead, here, place, n,
             n - first, out + place);
      }
    }
    weight = after;
  }
}

}  // namespace

extern const CodeConvTable code_conv_table;
const CodeConvTable code_conv_table = {convolve<uint8_t>, convolve<float>};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
