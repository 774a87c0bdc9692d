#include "partition.hpp"

#include <algorithm>
#include <cmath>

namespace mlpress {
namespace {

template <class Centroids>
struct IntervalCost {
  const Moments* points;
  double operator()(int32_t from, int32_t to) const { return Centroids::cost(points[from], points[to]); }
};

}  // namespace

double IntegerCentroids::cost(const Moments& from, const Moments& to) {
  const double mass = to.mass - from.mass, first = to.first - from.first;
  if (!(mass > 0)) return 0;
  const double centroid = std::floor(first / mass + 0.5);
  return to.second - from.second - centroid * (2 * first - centroid * mass);
}

void Partitioner::load(const double* values, const double* weights, int64_t m) {
  values_ = values;
  double total = 0;
  for (int64_t i = 0; i < m; ++i) total += weights[i];
  int64_t middle = 0;
  for (double before = weights[0]; before < total / 2 && middle + 1 < m; before += weights[++middle]) {
  }
  // Sums run outwards from the median, so that outliers do not drown the digits of the bulk.
  origin_ = values[middle];
  points_.resize(static_cast<size_t>(m) + 1);
  Moments* points = points_.data();
  points[middle] = {0, 0, 0};
  for (int64_t i = middle; i < m; ++i) {
    const double x = values[i] - origin_, w = weights[i];
    points[i + 1] = {points[i].mass + w, points[i].first + w * x, points[i].second + w * x * x};
  }
  for (int64_t i = middle; i-- > 0;) {
    const double x = values[i] - origin_, w = weights[i];
    points[i] = {points[i + 1].mass - w, points[i + 1].first - w * x, points[i + 1].second - w * x * x};
  }
}

double Partitioner::mean(int64_t from, int64_t to) const {
  const Moments &a = points_[from], &b = points_[to];
  const double mass = b.mass - a.mass;
  const double mean = mass > 0 ? origin_ + (b.first - a.first) / mass : values_[from];
  return std::min(std::max(mean, values_[from]), values_[to - 1]);
}

// First guess of the price, from the asymptotic error of k-means, (integral of density^(1/3))^3 / (12 k^2). Also
// fills coarse_ with `coarse_size` of the positions, spread as the centroids will be.
double Partitioner::guess_price(int64_t k, int64_t coarse_size) {
  const int64_t m = size();
  const int64_t bins = std::min<int64_t>(m, 256 + 4 * k);
  const Moments* points = points_.data();
  reach_.assign(static_cast<size_t>(bins) + 1, 0.0);
  double* reach = reach_.data();
  for (int64_t b = 0; b < bins; ++b) {
    const int64_t from = m * b / bins, to = m * (b + 1) / bins;
    const double left = from > 0 ? (values_[from - 1] + values_[from]) / 2 : values_[0];
    const double right = to < m ? (values_[to - 1] + values_[to]) / 2 : values_[m - 1];
    const double width = right - left, mass = points[to].mass - points[from].mass;
    reach[b + 1] = reach[b] + std::cbrt(mass * width * width);
  }
  coarse_.clear();
  if (coarse_size > 0) {
    int64_t bin = 0, last = -1;
    for (int64_t c = 0; c <= coarse_size; ++c) {
      const double goal = reach[bins] * static_cast<double>(c) / static_cast<double>(coarse_size);
      while (bin + 1 < bins && reach[bin + 1] < goal) ++bin;
      const int64_t from = m * bin / bins, to = m * (bin + 1) / bins;
      const double span = reach[bin + 1] - reach[bin];
      const double share = span > 0 ? (goal - reach[bin]) / span : 0;
      int64_t position = from + static_cast<int64_t>(share * static_cast<double>(to - from));
      position = c == coarse_size ? m : std::min(std::max<int64_t>(position, 0), m);
      if (position > last) coarse_.push_back(points[position]);
      last = std::max(last, position);
    }
  }
  const double asymptotic = reach[bins] * reach[bins] * reach[bins] / 12;
  return 2 * asymptotic / std::pow(static_cast<double>(k), 3);
}

template <class Centroids>
const std::vector<int32_t>& Partitioner::cut(int64_t k) {
  const int64_t m = size();
  // A coarse problem gives a good price where it still has a few positions for each interval.
  const int64_t coarse_size = std::min<int64_t>(32 * k, m / 3) >= 4 * k ? std::min<int64_t>(32 * k, m / 3) : 0;
  double price = guess_price(k, coarse_size);
  const int32_t coarse_steps = static_cast<int32_t>(coarse_.size()) - 1;
  if (coarse_steps > k) {
    price = finder_.search(IntervalCost<Centroids>{coarse_.data()}, coarse_steps, k, price, found_);
  }
  finder_.search(IntervalCost<Centroids>{points_.data()}, static_cast<int32_t>(m), k, price, found_);
  return found_.stops;
}

template const std::vector<int32_t>& Partitioner::cut<RealCentroids>(int64_t k);
template const std::vector<int32_t>& Partitioner::cut<IntegerCentroids>(int64_t k);

}  // namespace mlpress
