#include "masks.hpp"

#include <type_traits>
#include <utility>
#include <vector>

#include "arrays.hpp"

namespace mlpress {
namespace {

template <typename Bits>
const MasksOf<Bits>& kernels() {
  if constexpr (std::is_same_v<Bits, uint16_t>) {
    return masks().half;
  } else {
    return masks().single;
  }
}

// The bins that hold the ranks of two neighbours, and how many values lie before the first of these bins.
struct Bins {
  size_t first, second;
  int64_t before;
};

Bins find(const std::vector<int64_t>& counts, int64_t rank, int64_t next) {
  Bins bins{0, 0, 0};
  while (bins.before + counts[bins.first] <= rank) bins.before += counts[bins.first++];
  bins.second = bins.first;
  int64_t upto = bins.before + counts[bins.first];
  while (upto <= next) upto += counts[++bins.second];
  return bins;
}

// Magnitude number `rank` among those with the given upper bits, of which `before` come earlier.
uint32_t lower_at(const uint32_t* values, int64_t count, size_t upper, int64_t rank) {
  std::vector<int64_t> counts(kLowerBins);
  masks().single.count_lower(values, count, static_cast<uint32_t>(upper), counts.data());
  return static_cast<uint32_t>(upper << 16 | find(counts, rank, rank).first);
}

std::pair<uint32_t, uint32_t> magnitudes_in(const uint16_t*, int64_t, const Bins& bins, int64_t, int64_t) {
  return {static_cast<uint32_t>(bins.first), static_cast<uint32_t>(bins.second)};
}

std::pair<uint32_t, uint32_t> magnitudes_in(const uint32_t* values, int64_t count, const Bins& bins, int64_t rank,
                                            int64_t next) {
  const uint32_t first = lower_at(values, count, bins.first, rank - bins.before);
  const bool same = bins.first == bins.second;
  // A second bin is only reached when the first ends at `rank`, so the neighbour is its smallest.
  return {first, lower_at(values, count, bins.second, same ? next - bins.before : 0)};
}

template <typename Bits>
nb::tuple magnitude_pair(In<Bits> values, int64_t rank) {
  const Bits* data = values.data();
  const int64_t count = static_cast<int64_t>(values.size());
  require(rank >= 0 && rank < count, "rank is outside the values");
  const int64_t next = rank + 1 < count ? rank + 1 : rank;
  std::pair<uint32_t, uint32_t> found;
  {
    nb::gil_scoped_release release;
    std::vector<int64_t> counts(2 * kUpperBins);
    kernels<Bits>().count_upper(data, count, counts.data());
    for (int b = 0; b < kUpperBins; ++b) counts[static_cast<size_t>(b)] += counts[static_cast<size_t>(b + kUpperBins)];
    found = magnitudes_in(data, count, find(counts, rank, next), rank, next);
  }
  return nb::make_tuple(found.first, found.second);
}

template <typename Bits>
int64_t count_non_finite(In<Bits> values) {
  const Bits* data = values.data();
  const int64_t count = static_cast<int64_t>(values.size());
  nb::gil_scoped_release release;
  return kernels<Bits>().count_non_finite(data, count);
}

template <typename Bits>
void magnitude_above(In<Bits> values, Bits threshold, Out<uint8_t> packed) {
  const Bits* data = values.data();
  const int64_t count = static_cast<int64_t>(values.size());
  require(static_cast<int64_t>(packed.size()) == (count + 7) / 8, "the mask needs one bit a value");
  require(threshold >> (8 * sizeof(Bits) - 1) == 0, "the threshold must not be negative");
  uint8_t* to = packed.data();
  nb::gil_scoped_release release;
  kernels<Bits>().magnitude_above(data, count, threshold, to);
}

template <typename Bits>
void n_of_m(In<Bits> values, int64_t outer, int64_t channels, int64_t inner, int n, int m, Out<uint8_t> keep) {
  const Bits* data = values.data();
  const int64_t count = static_cast<int64_t>(values.size());
  const bool fits = count == 0 || (outer > 0 && channels > 0 && inner > 0 && outer <= count &&
                                   channels <= count / outer && inner == count / outer / channels &&
                                   outer * channels * inner == count);
  require(fits, "the shape does not fit the values");
  require(static_cast<int64_t>(keep.size()) == count, "the result needs one byte a value");
  require(m >= 1 && m <= kLargestComparedGroup && n >= 0 && n <= m, "n:m is out of range");
  uint8_t* to = keep.data();
  if (count == 0) return;
  nb::gil_scoped_release release;
  kernels<Bits>().n_of_m(data, outer, channels, inner, n, m, to);
}

template <typename Bits>
void bind(nb::module_& m) {
  m.def("masks_magnitude_pair", &magnitude_pair<Bits>, nb::arg("values").noconvert(), nb::arg("rank"));
  m.def("masks_count_non_finite", &count_non_finite<Bits>, nb::arg("values").noconvert());
  m.def("masks_magnitude_above", &magnitude_above<Bits>, nb::arg("values").noconvert(), nb::arg("threshold"),
        nb::arg("packed").noconvert());
  m.def("masks_n_of_m", &n_of_m<Bits>, nb::arg("values").noconvert(), nb::arg("outer"), nb::arg("channels"),
        nb::arg("inner"), nb::arg("n"), nb::arg("m"), nb::arg("keep").noconvert());
}

}  // namespace

void bind_masks(nb::module_& m) {
  bind<uint16_t>(m);
  bind<uint32_t>(m);
}

}  // namespace mlpress
