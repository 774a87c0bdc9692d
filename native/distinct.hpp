// The sorted distinct values of a row, each with its weight.
#pragma once

#include <cstdint>
#include <vector>

namespace mlpress {

// Keeps its scratch memory between rows. -0 counts as 0. Values of weight 0 are left out, unless all have it: then
// every weight counts as 1. In long rows of floats that have many distinct values, those that agree in 13 bits of the
// fraction are taken together, at their mean. The caller has checked that weights are finite and not negative.
class DistinctValues {
 public:
  std::vector<double> values, weights;

  int64_t size() const { return static_cast<int64_t>(values.size()); }

  // Reads a row of float16 bits (uint16), float, int8 or uint8. `row_weights` may be null: every weight is 1 then.
  // Returns false if a value is NaN or infinite.
  template <class T>
  bool read(const T* row, const float* row_weights, int64_t count);

 private:
  void push(double value, double weight);
  bool collect(const uint16_t* row, const float* row_weights, int64_t count);
  bool collect(const float* row, const float* row_weights, int64_t count);
  bool collect(const int8_t* row, const float* row_weights, int64_t count);
  bool collect(const uint8_t* row, const float* row_weights, int64_t count);
  bool count_halves(const uint16_t* row, int64_t count);
  void weigh_halves(const uint16_t* row, const float* row_weights, int64_t count);
  bool merge_floats(const float* row, const float* row_weights, int64_t count);
  template <class Row, class Codec>
  void sort_row(const Row* row, const float* row_weights, int64_t count, Codec codec);

  std::vector<uint32_t> counts_;
  std::vector<double> masses_, firsts_;
  std::vector<uint32_t> keys_, keys_scratch_;
  std::vector<uint64_t> pairs_, pairs_scratch_;
};

}  // namespace mlpress
