#include "distinct.hpp"

#include <algorithm>
#include <cstring>

#include "half.hpp"
#include "kmeans.hpp"

namespace mlpress {
namespace {

// Rows of at least this many halves are counted in 65,536 bins; shorter ones are sorted, which is less work than
// clearing and reading the bins.
constexpr int64_t min_count_for_bins = 16384;

// Rows of at least this many floats are merged into bins, if enough of them are used: sorting and solving them value by
// value would take 80 bytes for each.
constexpr int64_t min_count_to_merge = int64_t{1} << 20;
constexpr size_t min_bins_to_merge = 16384;
constexpr int merged_bits = 10;  // dropped of the 23 of the fraction

// A codec turns a value into an unsigned key of the same order, and back; both zeros get one key.
struct HalfCodec {
  static constexpr int bits = 16;
  uint32_t key(uint16_t value) const {
    if (value == 0x8000) value = 0;
    return static_cast<uint16_t>(value & 0x8000 ? ~value : value | 0x8000);
  }
  double value(uint32_t key) const {
    return baseline::half_to_float(static_cast<uint16_t>(key & 0x8000 ? key & 0x7fff : ~key));
  }
};

struct FloatCodec {
  static constexpr int bits = 32;
  uint32_t key(float value) const {
    uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    if (word == 0x80000000u) word = 0;
    return word & 0x80000000u ? ~word : word | 0x80000000u;
  }
  double value(uint32_t key) const {
    const uint32_t word = key & 0x80000000u ? key & 0x7fffffffu : ~key;
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
  }
};

// Sorts by bits first_bit .. first_bit + bits - 1, least significant digit first.
template <class T>
void radix_sort(std::vector<T>& items, std::vector<T>& scratch, int first_bit, int bits) {
  const size_t count = items.size();
  if (count < 128) {
    std::sort(items.begin(), items.end(), [=](T a, T b) { return (a >> first_bit) < (b >> first_bit); });
    return;
  }
  const int digit = bits == 16 ? 8 : 11;
  const uint32_t low = (1u << digit) - 1;
  scratch.resize(count);
  std::vector<uint32_t> places(size_t{low} + 1);
  for (int shift = first_bit; shift < first_bit + bits; shift += digit) {
    std::fill(places.begin(), places.end(), 0);
    for (const T item : items) ++places[(item >> shift) & low];
    uint32_t place = 0;
    for (uint32_t& entry : places) {
      const uint32_t size = entry;
      entry = place;
      place += size;
    }
    for (const T item : items) scratch[places[(item >> shift) & low]++] = item;
    items.swap(scratch);
  }
}

}  // namespace

void DistinctValues::push(double value, double weight) {
  if (!(weight > 0)) return;
  values.push_back(value);
  weights.push_back(weight);
}

template <class Row, class Codec>
void DistinctValues::sort_row(const Row* row, const float* row_weights, int64_t count, Codec codec) {
  const size_t size = static_cast<size_t>(count);
  if (row_weights == nullptr) {
    keys_.resize(size);
    for (size_t i = 0; i < size; ++i) keys_[i] = codec.key(row[i]);
    radix_sort(keys_, keys_scratch_, 0, Codec::bits);
    for (size_t i = 0; i < size;) {
      const size_t first = i;
      while (i < size && keys_[i] == keys_[first]) ++i;
      push(codec.value(keys_[first]), static_cast<double>(i - first));
    }
    return;
  }
  pairs_.resize(size);
  for (size_t i = 0; i < size; ++i) {
    uint32_t weight;
    std::memcpy(&weight, &row_weights[i], sizeof weight);
    pairs_[i] = static_cast<uint64_t>(codec.key(row[i])) << 32 | weight;
  }
  radix_sort(pairs_, pairs_scratch_, 32, Codec::bits);
  for (size_t i = 0; i < size;) {
    const uint32_t key = static_cast<uint32_t>(pairs_[i] >> 32);
    double total = 0;
    for (; i < size && static_cast<uint32_t>(pairs_[i] >> 32) == key; ++i) {
      const uint32_t bits = static_cast<uint32_t>(pairs_[i]);
      float weight;
      std::memcpy(&weight, &bits, sizeof weight);
      total += weight;
    }
    push(codec.value(key), total);
  }
}

bool DistinctValues::count_halves(const uint16_t* row, int64_t count) {
  counts_.assign(65536, 0);
  kmeans().histogram_half(row, count, counts_.data());
  const uint32_t* counts = counts_.data();
  uint32_t nonfinite = 0;
  for (uint32_t bits = 0x7c00; bits < 0x8000; ++bits) nonfinite |= counts[bits] | counts[bits | 0x8000];
  if (nonfinite != 0) return false;
  counts_[0] += counts_[0x8000];
  counts_[0x8000] = 0;
  // Used bins in ascending order of their values. Which bins are used is not to be foretold, so no branch asks, but
  // whole stretches of exponents that do not occur are left out.
  constexpr uint32_t stretch = 64;
  keys_.resize(65536 + 1);
  uint32_t* used = keys_.data();
  size_t size = 0;
  for (uint32_t start = 0; start < 2 * 0x7c00; start += stretch) {
    const bool negative = start < 0x7c00;
    const uint32_t first = negative ? 0xfc00 - stretch - start : start - 0x7c00;
    uint32_t any = 0;
    for (uint32_t i = 0; i < stretch; ++i) any |= counts[first + i];
    if (any == 0) continue;
    for (uint32_t i = 0; i < stretch; ++i) {
      const uint32_t bits = negative ? first + stretch - 1 - i : first + i;
      used[size] = bits;
      size += counts[bits] != 0;
    }
  }
  values.resize(size);
  weights.resize(size);
  for (size_t i = 0; i < size; ++i) {
    values[i] = baseline::half_to_float(static_cast<uint16_t>(used[i]));
    weights[i] = counts[used[i]];
  }
  return true;
}

void DistinctValues::weigh_halves(const uint16_t* row, const float* row_weights, int64_t count) {
  masses_.assign(65536, 0);
  for (int64_t i = 0; i < count; ++i) masses_[row[i]] += row_weights[i];
  masses_[0] += masses_[0x8000];
  for (uint32_t bits = 0xfbff; bits > 0x8000; --bits) {
    push(baseline::half_to_float(static_cast<uint16_t>(bits)), masses_[bits]);
  }
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    push(baseline::half_to_float(static_cast<uint16_t>(bits)), masses_[bits]);
  }
}

bool DistinctValues::collect(const uint16_t* row, const float* row_weights, int64_t count) {
  if (count >= min_count_for_bins && row_weights == nullptr) return count_halves(row, count);
  if (kmeans().nonfinite_half(row, count) != 0) return false;
  if (count < min_count_for_bins) sort_row(row, row_weights, count, HalfCodec{});
  else weigh_halves(row, row_weights, count);
  return true;
}

bool DistinctValues::merge_floats(const float* row, const float* row_weights, int64_t count) {
  masses_.assign(size_t{1} << (32 - merged_bits), 0);
  firsts_.assign(masses_.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    const double weight = row_weights == nullptr ? 1.0 : row_weights[i];
    const uint32_t bin = FloatCodec{}.key(row[i]) >> merged_bits;
    masses_[bin] += weight;
    firsts_[bin] += weight * row[i];
  }
  for (size_t bin = 0; bin < masses_.size(); ++bin) push(firsts_[bin] / masses_[bin], masses_[bin]);
  masses_ = {};
  firsts_ = {};
  if (values.size() >= min_bins_to_merge) return true;
  values.clear();
  weights.clear();
  return false;
}

bool DistinctValues::collect(const float* row, const float* row_weights, int64_t count) {
  if (kmeans().nonfinite_float(row, count) != 0) return false;
  if (count >= min_count_to_merge && merge_floats(row, row_weights, count)) return true;
  sort_row(row, row_weights, count, FloatCodec{});
  return true;
}

bool DistinctValues::collect(const int8_t* row, const float* row_weights, int64_t count) {
  double masses[256] = {0};
  for (int64_t i = 0; i < count; ++i) masses[row[i] + 128] += row_weights == nullptr ? 1.0 : row_weights[i];
  for (int bin = 0; bin < 256; ++bin) push(bin - 128, masses[bin]);
  return true;
}

bool DistinctValues::collect(const uint8_t* row, const float* row_weights, int64_t count) {
  double masses[256] = {0};
  for (int64_t i = 0; i < count; ++i) masses[row[i]] += row_weights == nullptr ? 1.0 : row_weights[i];
  for (int bin = 0; bin < 256; ++bin) push(bin, masses[bin]);
  return true;
}

template <class T>
bool DistinctValues::read(const T* row, const float* row_weights, int64_t count) {
  values.clear();
  weights.clear();
  if (!collect(row, row_weights, count)) return false;
  return !values.empty() || row_weights == nullptr || collect(row, nullptr, count);
}

template bool DistinctValues::read(const uint16_t*, const float*, int64_t);
template bool DistinctValues::read(const float*, const float*, int64_t);
template bool DistinctValues::read(const int8_t*, const float*, int64_t);
template bool DistinctValues::read(const uint8_t*, const float*, int64_t);

}  // namespace mlpress
