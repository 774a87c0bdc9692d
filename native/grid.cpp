// Which k points of a grid serve best as the table of a row of values.
#include <algorithm>
#include <cmath>

#include "arrays.hpp"
#include "least_weight.hpp"
#include "partition.hpp"

namespace mlpress {
namespace {

// Squared error of the values between two positions about a point.
double error_about(double point, const Moments& from, const Moments& to) {
  const double mass = to.mass - from.mass, first = to.first - from.first;
  return to.second - from.second - point * (2 * first - point * mass);
}

// Node 0 is before all points, nodes 1 .. size are the points, node size + 1 is after them. A step's cost is the error
// of the values between its two ends, each at the nearer end.
class GridCost {
 public:
  GridCost(const double* points, int32_t size, const std::vector<Moments>& halves, const Moments& total)
      : points_(points), size_(size), halves_(halves), total_(total) {
    // The step past all points must not be the cheaper one; this much keeps the cost concave Monge.
    void_ = (*this)(0, size) + (*this)(1, size + 1);
  }

  double operator()(int32_t from, int32_t to) const {
    const int32_t a = from - 1, b = to - 1;  // points
    if (a < 0) return b == size_ ? void_ : error_about(points_[b], Moments{0, 0, 0}, halves_[2 * b]);
    if (b == size_) return error_about(points_[a], halves_[2 * a], total_);
    const Moments& middle = halves_[a + b];
    return error_about(points_[a], halves_[2 * a], middle) + error_about(points_[b], middle, halves_[2 * b]);
  }

 private:
  const double* points_;
  int32_t size_;
  const std::vector<Moments>& halves_;
  Moments total_;
  double void_ = 0;
};

double choose_points(In<double> values, In2<double> moments, In<double> points, In<double> halves, Out<int32_t> chosen) {
  const int64_t count = static_cast<int64_t>(values.size());
  const int64_t size = static_cast<int64_t>(points.size()), k = static_cast<int64_t>(chosen.size());
  require(static_cast<int64_t>(moments.shape(0)) == count + 1 && moments.shape(1) == 3,
          "moments must have one row more than there are values, and 3 columns");
  require(size >= 1 && size <= 65536, "there must be 1 to 65536 points");
  require(static_cast<int64_t>(halves.size()) == 2 * size - 1, "halves must be the points and their midpoints");
  require(k >= 1 && k <= size, "k must be 1 to the number of points");
  const double *value = values.data(), *moment = moments.data(), *point = points.data(), *half = halves.data();
  int32_t* target = chosen.data();
  nb::gil_scoped_release release;
  const auto at = [moment](int64_t i) { return Moments{moment[3 * i], moment[3 * i + 1], moment[3 * i + 2]}; };
  std::vector<Moments> sums(static_cast<size_t>(2 * size - 1));
  double reach = 0;
  const double* position = value;
  for (size_t h = 0; h < sums.size(); ++h) {
    position = std::upper_bound(position, value + count, half[h]);
    sums[h] = at(position - value);
    if (h > 0) {
      const double width = half[h] - half[h - 1];
      reach += std::cbrt((sums[h].mass - sums[h - 1].mass) * width * width);
    }
  }
  const GridCost cost(point, static_cast<int32_t>(size), sums, at(count));
  const double price = reach * reach * reach / (6 * std::pow(static_cast<double>(k), 3));
  PathFinder finder;
  Path path;
  finder.search(cost, static_cast<int32_t>(size + 1), k + 1, price, path);
  for (int64_t j = 0; j < k; ++j) target[j] = path.stops[j + 1] - 1;
  return path.cost;
}

}  // namespace

void bind_grid(nb::module_& m) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  m.def("choose_points", &choose_points, array("values"), array("moments"), array("points"), array("halves"),
        array("chosen"));
}

}  // namespace mlpress
