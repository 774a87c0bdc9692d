// The nearest of up to 256 table entries for each value of a row.
#pragma once

#include <cstdint>
#include <vector>

namespace mlpress {

// Rounds to the nearest half, ties to even, in one step.
uint16_t double_to_half(double value);

class NearestEntry {
 public:
  // Sets the table: 1 to 256 finite entries in any order. Of entries equally near the one of lower index wins.
  void load(const double* entries, int size);

  // Writes the index of the nearest entry for each value: float16 bits (uint16), float, int8 or uint8, finite.
  void assign(const uint16_t* row, int64_t count, uint8_t* indices);
  void assign(const float* row, int64_t count, uint8_t* indices);
  void assign(const int8_t* row, int64_t count, uint8_t* indices);
  void assign(const uint8_t* row, int64_t count, uint8_t* indices);

 private:
  // Between neighbours of the sorted table: values up to the limit, or below it, belong to the left one.
  struct Limit {
    double value;
    bool inclusive;
    bool passed_by(double x) const { return inclusive ? x > value : x >= value; }
  };
  void reorder(int64_t count, uint8_t* indices) const;
  template <class T>
  void assign_bytes(const T* row, int64_t count, uint8_t* indices);

  std::vector<Limit> limits_;
  std::vector<uint8_t> order_;  // index in the table by rank among its sorted distinct entries
  bool in_order_ = true;
  std::vector<uint8_t> ranks_;
};

}  // namespace mlpress
