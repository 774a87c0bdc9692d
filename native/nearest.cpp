#include "nearest.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "elements.hpp"
#include "half.hpp"
#include "kmeans.hpp"

namespace mlpress {
namespace {

// Finite halves in order, as integers; -0 is -1, just below +0.
int half_order(uint16_t bits) { return bits & 0x8000 ? -1 - (bits & 0x7fff) : bits; }

uint16_t order_half(int order) {
  return static_cast<uint16_t>(order < 0 ? 0x8000 | (-1 - order) : order);
}

// From this many values on, a table of all 65,536 halves is worth filling.
constexpr int64_t min_count_for_map = 1024;
constexpr int max_thresholds_to_compare = 15;

}  // namespace

uint16_t double_to_half(double value) {
  // Rounding to odd first keeps what the second rounding needs to know about the digits that the first dropped.
  float narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) != value && std::isfinite(narrow)) {
    if (std::fabs(static_cast<double>(narrow)) > std::fabs(value)) narrow = std::nextafterf(narrow, 0.0f);
    uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof bits);
    bits |= 1;
    std::memcpy(&narrow, &bits, sizeof bits);
  }
  return baseline::float_to_half(narrow);
}

void NearestEntry::load(const double* entries, int size) {
  order_.resize(static_cast<size_t>(size));
  std::iota(order_.begin(), order_.end(), uint8_t{0});
  std::stable_sort(order_.begin(), order_.end(), [=](uint8_t a, uint8_t b) { return entries[a] < entries[b]; });
  const auto equal = [=](uint8_t a, uint8_t b) { return entries[a] == entries[b]; };
  order_.erase(std::unique(order_.begin(), order_.end(), equal), order_.end());
  in_order_ = true;
  limits_.clear();
  for (size_t rank = 0; rank < order_.size(); ++rank) {
    in_order_ = in_order_ && order_[rank] == rank;
    if (rank == 0) continue;
    const uint8_t left = order_[rank - 1], right = order_[rank];
    limits_.push_back({(entries[left] + entries[right]) / 2, left < right});
  }
}

void NearestEntry::reorder(int64_t count, uint8_t* indices) const {
  if (in_order_) return;
  for (int64_t i = 0; i < count; ++i) indices[i] = order_[indices[i]];
}

void NearestEntry::assign(const uint16_t* row, int64_t count, uint8_t* indices) {
  const int size = static_cast<int>(limits_.size());
  // The largest half that belongs to the left of each limit.
  int16_t thresholds[255];
  for (int t = 0; t < size; ++t) {
    int order = half_order(double_to_half(limits_[t].value));
    while (limits_[t].passed_by(baseline::half_to_float(order_half(order)))) --order;
    if (order == -1) order = 0;  // both zeros lie on one side
    thresholds[t] = static_cast<int16_t>(order);
  }
  if (size <= max_thresholds_to_compare || count < min_count_for_map) {
    kmeans().rank_half(row, count, thresholds, size, indices);
  } else {
    ranks_.resize(65536);
    int order = -32768;
    for (int rank = 0; rank <= size; ++rank) {
      const int last = rank < size ? thresholds[rank] : 32767;
      // Among negative halves the bits grow as the value falls.
      if (order < 0 && order <= last) {
        const int stop = std::min(last, -1);
        std::memset(&ranks_[order_half(stop)], rank, static_cast<size_t>(stop - order + 1));
        order = stop + 1;
      }
      if (order <= last) std::memset(&ranks_[order], rank, static_cast<size_t>(last - order + 1));
      order = std::max(order, last + 1);
    }
    kmeans().map_half(row, count, ranks_.data(), indices);
  }
  reorder(count, indices);
}

void NearestEntry::assign(const float* row, int64_t count, uint8_t* indices) {
  const int size = static_cast<int>(limits_.size());
  float thresholds[255];
  for (int t = 0; t < size; ++t) {
    float threshold = static_cast<float>(limits_[t].value);
    while (limits_[t].passed_by(threshold)) threshold = std::nextafterf(threshold, -HUGE_VALF);
    thresholds[t] = threshold;
  }
  kmeans().rank_float(row, count, thresholds, size, indices);
  reorder(count, indices);
}

template <class T>
void NearestEntry::assign_bytes(const T* row, int64_t count, uint8_t* indices) {
  uint8_t nearest[256];
  for (int byte = 0; byte < 256; ++byte) {
    const double value = static_cast<T>(byte);
    size_t rank = 0;
    while (rank < limits_.size() && limits_[rank].passed_by(value)) ++rank;
    nearest[byte] = order_[rank];
  }
  elements().lookup(reinterpret_cast<const uint8_t*>(row), count, nearest, 256, 1, indices);
}

void NearestEntry::assign(const int8_t* row, int64_t count, uint8_t* indices) { assign_bytes(row, count, indices); }

void NearestEntry::assign(const uint8_t* row, int64_t count, uint8_t* indices) { assign_bytes(row, count, indices); }

}  // namespace mlpress
