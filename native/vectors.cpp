#include "vectors.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "arrays.hpp"

namespace mlpress {
namespace {

template <typename Bits>
const VectorsOf<Bits>& kernels() {
  if constexpr (std::is_same_v<Bits, uint16_t>) {
    return vectors().half;
  } else {
    return vectors().single;
  }
}

template <typename Bits>
Points<Bits> points_of(const In2<Bits>& values, const In<float>& weights, const In<float>& middle, float factor) {
  require(values.shape(1) >= 1 && values.shape(1) <= 4096, "points need 1 to 4096 coordinates");
  require(middle.size() == values.shape(1), "the middle needs one value a coordinate");
  require(weights.size() == 0 || weights.size() == values.shape(0), "one weight a point is needed, or none");
  return {values.data(), static_cast<int64_t>(values.shape(0)), static_cast<int>(values.shape(1)),
          weights.size() == 0 ? nullptr : weights.data(), middle.data(), factor};
}

template <typename Array>
int clusters_of(const Array& table, int dim) {
  require(table.shape(0) >= 1 && table.shape(0) <= 256, "1 to 256 centroids are needed");
  require(static_cast<int>(table.shape(1)) == dim, "centroids need the dimension of the points");
  return static_cast<int>(table.shape(0));
}

std::vector<float> halves_of(const float* table, int count, int dim) {
  std::vector<float> halves(static_cast<size_t>(count));
  for (int c = 0; c < count; ++c) {
    double square = 0;
    for (int j = 0; j < dim; ++j) square += static_cast<double>(table[c * dim + j]) * table[c * dim + j];
    halves[static_cast<size_t>(c)] = static_cast<float>(square / 2);
  }
  return halves;
}

// The statistics of one pass, and the centroids they lead to.
struct Pass {
  std::vector<double> sums, mass, error;
  std::vector<int64_t> farthest;
  std::vector<float> distance;

  Pass(int count, int dim)
      : sums(static_cast<size_t>(count) * static_cast<size_t>(dim)),
        mass(static_cast<size_t>(count)),
        error(static_cast<size_t>(count)),
        farthest(static_cast<size_t>(count)),
        distance(static_cast<size_t>(count)) {}

  template <typename Bits>
  double run(const Points<Bits>& points, const float* table, int count, std::vector<float>& scratch) {
    std::fill(sums.begin(), sums.end(), 0.0);
    std::fill(mass.begin(), mass.end(), 0.0);
    std::fill(error.begin(), error.end(), 0.0);
    std::fill(farthest.begin(), farthest.end(), 0);
    std::fill(distance.begin(), distance.end(), 0.0f);
    const std::vector<float> halves = halves_of(table, count, points.dim);
    kernels<Bits>().accumulate(points, {table, halves.data(), count}, scratch.data(),
                               {sums.data(), mass.data(), error.data(), farthest.data(), distance.data()});
    double total = 0;
    for (const double e : error) total += e;
    return total;
  }

  // Moves centroids towards the means of their points, `reach` times the way. One without points goes to the farthest
  // point of the cluster that has the largest error, which then counts as settled.
  template <typename Bits>
  void update(const Points<Bits>& points, float* table, float reach, std::vector<float>& scratch) {
    const size_t dim = static_cast<size_t>(points.dim);
    for (size_t c = 0; c < mass.size(); ++c) {
      if (mass[c] <= 0) continue;
      for (size_t j = 0; j < dim; ++j) {
        float& value = table[c * dim + j];
        value += reach * (static_cast<float>(sums[c * dim + j] / mass[c]) - value);
      }
    }
    for (size_t c = 0; c < mass.size(); ++c) {
      if (mass[c] > 0) continue;
      const size_t worst = static_cast<size_t>(std::max_element(error.begin(), error.end()) - error.begin());
      if (error[worst] <= 0) return;
      Points<Bits> one = points;
      one.values += farthest[worst] * points.dim;
      one.count = 1;
      std::vector<float> point(dim * 16);
      kernels<Bits>().gather(one, scratch.data(), 16, point.data());
      for (size_t j = 0; j < dim; ++j) table[c * dim + j] = point[j * 16];
      error[worst] = 0;
    }
  }
};

template <typename Bits>
int lloyd(In2<Bits> values, In<float> weights, In<float> middle, float factor, Out2<float> table, Out<double> errors,
          float reach, int passes, double tolerance) {
  const Points<Bits> points = points_of(values, weights, middle, factor);
  const int count = clusters_of(table, points.dim);
  require(static_cast<int>(errors.size()) == count, "one error a centroid is needed");
  require(reach > 0 && reach < 2, "reach must be between 0 and 2");
  float* centroids = table.data();
  double* out = errors.data();
  nb::gil_scoped_release release;
  std::vector<float> scratch(static_cast<size_t>(vector_scratch(points.dim)));
  Pass pass(count, points.dim);
  double before = HUGE_VAL;
  int done = 0;
  while (done < passes) {
    const double total = pass.run(points, centroids, count, scratch);
    std::copy(pass.error.begin(), pass.error.end(), out);
    pass.update(points, centroids, reach, scratch);
    ++done;
    if (before - total <= tolerance * total) break;
    before = total;
  }
  return done;
}

template <typename Bits>
void label(In2<Bits> values, In<float> middle, float factor, In2<float> table, Out<uint8_t> labels) {
  const Points<Bits> points{values.data(), static_cast<int64_t>(values.shape(0)), static_cast<int>(values.shape(1)),
                            nullptr,       middle.data(),                           factor};
  require(values.shape(1) >= 1 && middle.size() == values.shape(1), "the middle needs one value a coordinate");
  const int count = clusters_of(table, points.dim);
  require(labels.size() == values.shape(0), "one label a point is needed");
  const float* centroids = table.data();
  uint8_t* out = labels.data();
  nb::gil_scoped_release release;
  std::vector<float> scratch(static_cast<size_t>(vector_scratch(points.dim)));
  const std::vector<float> halves = halves_of(centroids, count, points.dim);
  kernels<Bits>().label(points, {centroids, halves.data(), count}, scratch.data(), out);
}

// The position where the running sum of `parts` reaches `target`.
int64_t drawn(const std::vector<float>& parts, int64_t count, double target) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += parts[static_cast<size_t>(i)];
    if (sum > target) return i;
  }
  return count - 1;
}

// Greedy k-means++ (Arthur and Vassilvitskii 2007): each centroid is the best of several points drawn in proportion to
// their squared distance from the centroids so far.
template <typename Bits>
void seed(In2<Bits> values, In<float> weights, In<float> middle, float factor, In2<double> draws, Out2<float> table) {
  const Points<Bits> points = points_of(values, weights, middle, factor);
  const int count = clusters_of(table, points.dim);
  require(points.count >= 1, "points are needed");
  require(draws.shape(0) == table.shape(0) && draws.shape(1) >= 1, "draws are needed for each centroid");
  const size_t trials = draws.shape(1), dim = static_cast<size_t>(points.dim);
  const double* draw = draws.data();
  float* out = table.data();
  nb::gil_scoped_release release;
  const int64_t stride = (points.count + 15) / 16 * 16;
  std::vector<float> scratch(static_cast<size_t>(vector_scratch(points.dim)));
  std::vector<float> coordinates(static_cast<size_t>(stride) * dim), mass(static_cast<size_t>(stride));
  kernels<Bits>().gather(points, scratch.data(), stride, coordinates.data());
  for (int64_t i = 0; i < points.count; ++i) mass[static_cast<size_t>(i)] = points.weights ? points.weights[i] : 1.0f;
  double potential = 0;
  for (const float m : mass) potential += m;
  std::vector<float> nearest(static_cast<size_t>(stride), 3e38f), trial(nearest), best(nearest), candidate(dim);
  for (size_t c = 0; c < static_cast<size_t>(count); ++c) {
    double best_potential = HUGE_VAL;
    for (size_t t = 0; t < trials; ++t) {
      const int64_t chosen = drawn(c == 0 ? mass : nearest, points.count, draw[c * trials + t] * potential);
      for (size_t j = 0; j < dim; ++j) {
        candidate[j] = coordinates[j * static_cast<size_t>(stride) + static_cast<size_t>(chosen)];
      }
      const double sum = vectors().lower(coordinates.data(), stride, points.dim, mass.data(), candidate.data(),
                                         nearest.data(), trial.data());
      if (sum >= best_potential) continue;
      best_potential = sum;
      std::copy(candidate.begin(), candidate.end(), out + c * dim);
      std::swap(trial, best);
    }
    std::swap(nearest, best);
    potential = best_potential;
  }
}

template <typename Bits>
void bind(nb::module_& m) {
  m.def("vectors_seed", &seed<Bits>, nb::arg("points").noconvert(), nb::arg("weights").noconvert(),
        nb::arg("middle").noconvert(), nb::arg("factor"), nb::arg("draws").noconvert(), nb::arg("table").noconvert());
  m.def("vectors_lloyd", &lloyd<Bits>, nb::arg("points").noconvert(), nb::arg("weights").noconvert(),
        nb::arg("middle").noconvert(), nb::arg("factor"), nb::arg("table").noconvert(), nb::arg("errors").noconvert(),
        nb::arg("reach"), nb::arg("passes"), nb::arg("tolerance"));
  m.def("vectors_label", &label<Bits>, nb::arg("points").noconvert(), nb::arg("middle").noconvert(), nb::arg("factor"),
        nb::arg("table").noconvert(), nb::arg("labels").noconvert());
}

}  // namespace

void bind_vectors(nb::module_& m) {
  bind<uint16_t>(m);
  bind<uint32_t>(m);
}

}  // namespace mlpress
