// Optimal partition of sorted weighted values into k intervals: one-dimensional k-means, solved exactly.
#pragma once

#include <cstdint>
#include <vector>

#include "least_weight.hpp"

namespace mlpress {

// Mass, first and second moment of the values before a position, about a common origin.
struct Moments {
  double mass, first, second;
};

// The squared error of the values between two positions about their mean.
struct RealCentroids {
  static double cost(const Moments& from, const Moments& to) {
    const double mass = to.mass - from.mass, first = to.first - from.first;
    if (!(mass > 0)) return 0;  // weights too small beside the others to show in the sums
    const double error = to.second - from.second - first * first / mass;
    return error > 0 ? error : 0;
  }
};

// The same about the best integer.
struct IntegerCentroids {
  static double cost(const Moments& from, const Moments& to);
};

// Keeps its scratch memory between calls.
class Partitioner {
 public:
  // Sets the problem: m >= 1 ascending values with positive weights. The values are not copied.
  void load(const double* values, const double* weights, int64_t m);

  // Returns k + 1 positions, 0 first and m last, that cut the values into k intervals of least cost. 1 <= k <= m.
  template <class Centroids>
  const std::vector<int32_t>& cut(int64_t k);

  // The mean of the values between two positions.
  double mean(int64_t from, int64_t to) const;

 private:
  int64_t size() const { return static_cast<int64_t>(points_.size()) - 1; }
  double guess_price(int64_t k, int64_t coarse_size);

  const double* values_ = nullptr;
  double origin_ = 0;
  std::vector<Moments> points_, coarse_;
  std::vector<double> reach_;
  PathFinder finder_;
  Path found_;
};

}  // namespace mlpress
