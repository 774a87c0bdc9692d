#include "kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "arrays.hpp"
#include "distinct.hpp"
#include "half.hpp"
#include "nearest.hpp"
#include "partition.hpp"

namespace mlpress {
namespace {

// Values of each dtype: uint16 stands for the bits of a float16.
double decode(uint16_t bits) { return baseline::half_to_float(bits); }
template <class T>
double decode(T value) {
  return static_cast<double>(value);
}

template <class T>
T encode(double value) {
  return static_cast<T>(std::floor(value + 0.5));
}
template <>
uint16_t encode<uint16_t>(double value) {
  return double_to_half(value);
}
template <>
float encode<float>(double value) {
  return static_cast<float>(value);
}

template <class T>
struct CentroidsOf {
  using type = IntegerCentroids;
};
template <>
struct CentroidsOf<uint16_t> {
  using type = RealCentroids;
};
template <>
struct CentroidsOf<float> {
  using type = RealCentroids;
};

// Clusters rows one after the other, with scratch memory that they share.
template <class T>
class RowClusterer {
 public:
  // Fills table[k] and indices[count]; entries that are not needed are zero. Returns false if a value is not finite.
  bool cluster(const T* row, const float* weights, int64_t count, int k, T* table, uint8_t* indices) {
    std::fill(table, table + k, T{0});
    if (count == 0) return true;
    if (!distinct_.read(row, weights, count)) return false;
    const int64_t used = std::min<int64_t>(k, distinct_.size());
    if (used == distinct_.size()) {
      for (int64_t j = 0; j < used; ++j) table[j] = encode<T>(distinct_.values[j]);
    } else {
      partitioner_.load(distinct_.values.data(), distinct_.weights.data(), distinct_.size());
      const std::vector<int32_t>& cuts = partitioner_.template cut<typename CentroidsOf<T>::type>(used);
      for (int64_t j = 0; j < used; ++j) table[j] = encode<T>(partitioner_.mean(cuts[j], cuts[j + 1]));
    }
    double entries[256];
    for (int64_t j = 0; j < used; ++j) entries[j] = decode(table[j]);
    nearest_.load(entries, static_cast<int>(used));
    nearest_.assign(row, count, indices);
    return true;
  }

 private:
  DistinctValues distinct_;
  Partitioner partitioner_;
  NearestEntry nearest_;
};

int64_t count_nonfinite(const uint16_t* values, int64_t count) { return kmeans().nonfinite_half(values, count); }
int64_t count_nonfinite(const float* values, int64_t count) { return kmeans().nonfinite_float(values, count); }
// Positions in a row are 32-bit.
constexpr int64_t max_row = int64_t{1} << 30;

// Returns false, with the outputs half done, if a value is not finite.
template <class T>
bool kmeans_rows(In2<T> rows, std::optional<In2<float>> weights, Out2<T> table, Out2<uint8_t> indices) {
  const int64_t row_count = static_cast<int64_t>(rows.shape(0)), count = static_cast<int64_t>(rows.shape(1));
  const int64_t k = static_cast<int64_t>(table.shape(1));
  require(k >= 1 && k <= 256, "k must be 1 to 256");
  require(count < max_row, "a row must have fewer than 2^30 values");
  require(static_cast<int64_t>(table.shape(0)) == row_count, "table has the wrong number of rows");
  require(static_cast<int64_t>(indices.shape(0)) == row_count && static_cast<int64_t>(indices.shape(1)) == count,
          "indices has the wrong shape");
  require(!weights || (static_cast<int64_t>(weights->shape(0)) == row_count &&
                       static_cast<int64_t>(weights->shape(1)) == count),
          "weights has the wrong shape");
  const T* source = rows.data();
  const float* source_weights = weights ? weights->data() : nullptr;
  T* target = table.data();
  uint8_t* target_indices = indices.data();
  nb::gil_scoped_release release;
  require(!weights || count_nonfinite(source_weights, row_count * count) == 0, "a weight is not finite");
  RowClusterer<T> clusterer;
  for (int64_t r = 0; r < row_count; ++r) {
    if (!clusterer.cluster(source + r * count, source_weights ? source_weights + r * count : nullptr, count,
                           static_cast<int>(k), target + r * k, target_indices + r * count)) {
      return false;
    }
  }
  return true;
}

template <class T>
void nearest_rows(In2<T> rows, In2<double> tables, Out2<uint8_t> indices) {
  const int64_t row_count = static_cast<int64_t>(rows.shape(0)), count = static_cast<int64_t>(rows.shape(1));
  const int64_t k = static_cast<int64_t>(tables.shape(1));
  require(k >= 1 && k <= 256, "a table must have 1 to 256 entries");
  require(static_cast<int64_t>(tables.shape(0)) == row_count, "tables has the wrong number of rows");
  require(static_cast<int64_t>(indices.shape(0)) == row_count && static_cast<int64_t>(indices.shape(1)) == count,
          "indices has the wrong shape");
  const T* source = rows.data();
  const double* entries = tables.data();
  uint8_t* target = indices.data();
  nb::gil_scoped_release release;
  for (int64_t i = 0; i < row_count * k; ++i) require(std::isfinite(entries[i]), "a table entry is not finite");
  NearestEntry nearest;
  for (int64_t r = 0; r < row_count; ++r) {
    nearest.load(entries + r * k, static_cast<int>(k));
    nearest.assign(source + r * count, count, target + r * count);
  }
}

// The distinct values of a row and their weights, as lists that Python turns into arrays of float64.
template <class T>
nb::tuple distinct_values(In<T> row, std::optional<In<float>> weights) {
  require(!weights || weights->size() == row.size(), "weights has the wrong size");
  require(static_cast<int64_t>(row.size()) < max_row, "a row must have fewer than 2^30 values");
  const T* source = row.data();
  const float* source_weights = weights ? weights->data() : nullptr;
  const int64_t count = static_cast<int64_t>(row.size());
  auto distinct = std::make_unique<DistinctValues>();
  {
    nb::gil_scoped_release release;
    require(distinct->read(source, source_weights, count), "a value is not finite");
  }
  const size_t size = distinct->values.size();
  double* values = distinct->values.data();
  double* masses = distinct->weights.data();
  nb::capsule owner(distinct.release(), [](void* p) noexcept { delete static_cast<DistinctValues*>(p); });
  using Array = nb::ndarray<nb::numpy, double, nb::ndim<1>>;
  return nb::make_tuple(Array(values, {size}, owner), Array(masses, {size}, owner));
}

int64_t nonfinite_half(In<uint16_t> values) {
  const uint16_t* source = values.data();
  const int64_t count = static_cast<int64_t>(values.size());
  nb::gil_scoped_release release;
  return count_nonfinite(source, count);
}

int64_t nonfinite_float(In<float> values) {
  const float* source = values.data();
  const int64_t count = static_cast<int64_t>(values.size());
  nb::gil_scoped_release release;
  return count_nonfinite(source, count);
}

template <class T>
void bind_dtype(nb::module_& m) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  m.def("kmeans_rows", &kmeans_rows<T>, array("rows"), array("weights").none(), array("table"), array("indices"));
  m.def("nearest_rows", &nearest_rows<T>, array("rows"), array("tables"), array("indices"));
  m.def("distinct_values", &distinct_values<T>, array("row"), array("weights").none());
}

}  // namespace

void bind_kmeans(nb::module_& m) {
  bind_dtype<uint16_t>(m);
  bind_dtype<float>(m);
  bind_dtype<int8_t>(m);
  bind_dtype<uint8_t>(m);
  m.def("nonfinite_half", &nonfinite_half, nb::arg("values").noconvert());
  m.def("nonfinite_float", &nonfinite_float, nb::arg("values").noconvert());
}

}  // namespace mlpress
