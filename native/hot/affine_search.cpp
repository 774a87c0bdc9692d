// Search for the scale (and zero point) whose decoded values are nearest to a row.
//
// Sixteen candidates are measured at a time, one in each lane. A candidate's codes also give the scale that suits these
// codes best (least squares), and the error at that scale: that is what candidates are compared by. The winner is then
// measured as it will be stored, scale and decoded values rounded to the row's type, against what the search started
// from.
#include "affine_search.hpp"

#include "floats.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

constexpr int kChunk = 256;            // short enough for sums in float32
constexpr float kStep = 0.92f;         // between the scales of the first round
constexpr int kMostExtensions = 4;     // of the first round; 0.92^64 is 1/200
constexpr float kLeastScale = 1e-30f;  // below (and for rows of zeros) the inverse of a candidate could overflow

struct Problem {
  float low, high;
  float scale, zero;  // where the search starts
};

struct Candidates {
  Lanes scale, zero;
};

struct Choice {
  float scale, zero, error;
  int lane;
};

// Factors on a scale, and steps of a zero point, a lane each.
struct Pattern {
  float factor[kLanes], step[kLanes];
};

constexpr Pattern powers() {
  Pattern pattern = {};
  float factor = 1;
  for (int k = 0; k < kLanes; ++k, factor *= kStep) pattern.factor[k] = factor;
  return pattern;
}

// Scales within one step of the first round, for each of `zeros` neighbouring zero points.
constexpr Pattern around(int zeros) {
  Pattern pattern = {};
  const int each = kLanes / zeros;
  for (int k = 0; k < kLanes; ++k) {
    const float part = (static_cast<float>(k % each) + 0.5f) / static_cast<float>(each);
    pattern.factor[k] = kStep + part * (2 - 2 * kStep);
    pattern.step[k] = static_cast<float>(k / each % zeros - zeros / 2);
  }
  return pattern;
}

constexpr Pattern kPowers = powers(), kAroundScale = around(1), kAroundBoth = around(3);

// For each lane, factors on the two ends of the range.
struct Ends {
  float bottom[kLanes], top[kLanes];
};

constexpr Ends ends(float a, float b, float c, float d) {
  const float factors[4] = {a, b, c, d};
  Ends pattern = {};
  for (int k = 0; k < kLanes; ++k) {
    pattern.bottom[k] = factors[k % 4];
    pattern.top[k] = factors[k / 4];
  }
  return pattern;
}

constexpr Ends kWide = ends(0.72f, 0.86f, 1.0f, 1.16f), kNarrow = ends(0.93f, 0.98f, 1.02f, 1.07f);

template <typename Bits, typename Visit>
void each_chunk(const Bits* row, int64_t length, Visit visit) {
  float values[kChunk];
  for (int64_t start = 0; start < length; start += kChunk) {
    const int count = length - start < kChunk ? static_cast<int>(length - start) : kChunk;
    for (int i = 0; i < count; i += kLanes) {
      store(values + i, load_some(row + start + i, count - i < kLanes ? count - i : kLanes));
    }
    visit(values, count);
  }
}

// Sums over chunks.
struct Totals {
  double v[kLanes] = {};

  void add(Lanes sums) {
    float values[kLanes];
    store(values, sums);
    for (int k = 0; k < kLanes; ++k) v[k] += values[k];
  }
  Lanes lanes() const {
    float values[kLanes];
    for (int k = 0; k < kLanes; ++k) values[k] = static_cast<float>(v[k]);
    return load(values);
  }
};

// The first of the lanes with the least error.
Choice least(const Candidates& candidates, Lanes errors) {
  float scale[kLanes], zero[kLanes], error[kLanes];
  store(scale, candidates.scale);
  store(zero, candidates.zero);
  store(error, errors);
  int lane = 0;
  for (int k = 1; k < kLanes; ++k) lane = error[k] < error[lane] ? k : lane;
  return {scale[lane], zero[lane], error[lane], lane};
}

// Returns the best candidate at its least-squares scale. All of them are replaced by theirs.
template <typename Bits>
Choice measure(const Bits* row, int64_t length, const Problem& problem, Candidates& candidates) {
  const Lanes inverse = all(1) / candidates.scale;
  const Lanes low = all(problem.low) - candidates.zero, high = all(problem.high) - candidates.zero;
  // d is the error in units of the scale, q the code.
  Totals dd, dq, qq;
  each_chunk(row, length, [&](const float* values, int count) {
    Lanes chunk_dd = all(0), chunk_dq = all(0), chunk_qq = all(0);
    for (int i = 0; i < count; ++i) {
      const Lanes x = all(values[i]) * inverse;
      const Lanes q = round(clamp(x, low, high));
      const Lanes d = x - q;
      chunk_dd = chunk_dd + d * d;
      chunk_dq = chunk_dq + d * q;
      chunk_qq = chunk_qq + q * q;
    }
    dd.add(chunk_dd);
    dq.add(chunk_dq);
    qq.add(chunk_qq);
  });
  // Codes are integers: where their squares add up to less than one, they and dq are zero.
  const Lanes shift = dq.lanes() / (qq.lanes() + all(1e-30f));
  const Lanes unit = candidates.scale * all(1 / problem.scale);
  candidates.scale = candidates.scale + candidates.scale * shift;
  return least(candidates, unit * unit * (dd.lanes() - shift * dq.lanes()));
}

// Squared error of the decoded values, in units of the scale that the search started from.
template <typename Bits>
double stored_error(const Bits* row, int64_t length, const Problem& problem, float scale, float zero) {
  const Lanes factor = all(scale), inverse = all(1 / scale), unit = all(1 / problem.scale);
  const Lanes low = all(problem.low - zero), high = all(problem.high - zero);
  double total = 0;
  each_chunk(row, length, [&](const float* values, int count) {
    Lanes squares = all(0);
    for (int i = 0; i < count; i += kLanes) {
      const Lanes x = load(values + i);
      const Lanes error = nearest_code<Bits>(x, x * inverse, factor, low, high).error * unit;
      squares = squares + error * error;
    }
    total += sum(squares);
  });
  return total;
}

// First round: shrinks the range on both sides, as far as that helps.
template <typename Bits>
Choice shrink(const Bits* row, int64_t length, const Problem& problem) {
  Choice best{};
  float scale = problem.scale;
  for (int extension = 0; extension < kMostExtensions; ++extension) {
    Candidates candidates{all(scale) * load(kPowers.factor), all(problem.zero)};
    const Choice found = measure(row, length, problem, candidates);
    if (extension > 0 && found.error >= best.error) break;
    best = found;
    if (found.lane < kLanes - 2) break;
    scale *= kPowers.factor[kLanes - 1] * kStep;
  }
  return best;
}

// Moves both ends of the range.
Candidates stretch(const Choice& from, const Problem& problem, const Ends& factors) {
  const Lanes low = all(problem.low), high = all(problem.high);
  const Lanes bottom = all((problem.low - from.zero) * from.scale) * load(factors.bottom);
  const Lanes top = all((problem.high - from.zero) * from.scale) * load(factors.top);
  const Lanes scale = (top - bottom) / (high - low);
  return {scale, round(clamp(low - bottom / scale, low, high))};
}

// The last round: fits the scales around a choice; then, of the best one and its neighbours in the row's type, takes what
// beats the start.
template <typename Bits>
Choice settle(const Bits* row, int64_t length, const Problem& problem, const Choice& choice, const Pattern& pattern) {
  using F = Floats<Bits>;
  Candidates candidates{all(choice.scale) * load(pattern.factor),
                        clamp(all(choice.zero) + load(pattern.step), all(problem.low), all(problem.high))};
  const Choice fitted = measure(row, length, problem, candidates);
  float scale = problem.scale, zero = problem.zero;
  double least_error = stored_error(row, length, problem, scale, zero);
  const Bits nearest = F::bits(fitted.scale);
  for (Bits bits = nearest > 1 ? nearest - 1 : 1; bits <= nearest + 1; ++bits) {
    const double error = stored_error(row, length, problem, F::value(bits), fitted.zero);
    if (error < least_error) {
      least_error = error;
      scale = F::value(bits);
      zero = fitted.zero;
    }
  }
  return {scale, zero, static_cast<float>(least_error), 0};
}

template <typename Bits>
Choice search_symmetric(const Bits* row, int64_t length, const Problem& problem) {
  return settle(row, length, problem, shrink(row, length, problem), kAroundScale);
}

template <typename Bits>
Choice search_asymmetric(const Bits* row, int64_t length, const Problem& problem) {
  Choice best = shrink(row, length, problem);
  for (int i = 0; i < 2; ++i) {
    Candidates candidates = stretch(best, problem, i == 0 ? kWide : kNarrow);
    const Choice found = measure(row, length, problem, candidates);
    if (found.error < best.error) best = found;
  }
  return settle(row, length, problem, best, kAroundBoth);
}

template <typename Bits>
void symmetric(const Bits* rows, int64_t count, int64_t length, int low, int high, Bits* scale,
               const int32_t* zero_point) {
  using F = Floats<Bits>;
  for (int64_t r = 0; r < count; ++r, rows += length) {
    const Problem problem{static_cast<float>(low), static_cast<float>(high), F::value(scale[r]),
                          static_cast<float>(zero_point[r])};
    if (problem.scale >= kLeastScale) scale[r] = F::bits(search_symmetric(rows, length, problem).scale);
  }
}

template <typename Bits>
void asymmetric(const Bits* rows, int64_t count, int64_t length, int low, int high, Bits* scale, int32_t* zero_point) {
  using F = Floats<Bits>;
  for (int64_t r = 0; r < count; ++r, rows += length) {
    const Problem problem{static_cast<float>(low), static_cast<float>(high), F::value(scale[r]),
                          static_cast<float>(zero_point[r])};
    if (problem.scale < kLeastScale) continue;
    const Choice found = search_asymmetric(rows, length, problem);
    scale[r] = F::bits(found.scale);
    zero_point[r] = static_cast<int32_t>(found.zero);
  }
}

template <typename Bits>
constexpr AffineSearchOf<Bits> table() {
  return {symmetric<Bits>, asymmetric<Bits>};
}

}  // namespace

extern const AffineSearchTable affine_search_table;
const AffineSearchTable affine_search_table = {table<uint16_t>(), table<uint32_t>()};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
