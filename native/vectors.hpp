#pragma once

#include <stdint.h>

#include "isa.hpp"

namespace mlpress {

// Points [count, dim] as they are stored; kernels see (point - middle) * factor.
template <typename Bits>
struct Points {
  const Bits* values;
  int64_t count;
  int dim;
  const float* weights;  // one a point, or null for 1
  const float* middle;   // [dim]
  float factor;
};

// Centroids [count, dim], and half of their squared lengths [count].
struct Centroids {
  const float* values;
  const float* halves;
  int count;
};

// What one pass over the points adds to, a value a cluster. Distances are squared.
struct ClusterSums {
  double* sums;       // [count, dim]
  double* mass;       // weight of the cluster
  double* error;      // weighted distance to the centroid
  int64_t* farthest;  // the point with the largest weighted distance
  float* distance;    // and that distance
};

// Floats that gathering a block of points needs.
constexpr int kVectorBlock = 64;
constexpr int64_t vector_scratch(int64_t dim) { return 2 * kVectorBlock * (dim + 1); }

template <typename Bits>
struct VectorsOf {
  // Assigns each point to its nearest centroid and adds it there. Of equally near centroids the first is taken.
  void (*accumulate)(const Points<Bits>& points, const Centroids& centroids, float* scratch, const ClusterSums& out);
  void (*label)(const Points<Bits>& points, const Centroids& centroids, float* scratch, uint8_t* labels);
  // Coordinates [dim, stride], a multiple of 16 of them in a row; the excess is zero.
  void (*gather)(const Points<Bits>& points, float* scratch, int64_t stride, float* coordinates);
};

struct VectorsTable {
  VectorsOf<uint16_t> half;
  VectorsOf<uint32_t> single;
  // Lowers nearest[i] to weights[i] * |point i - candidate|^2 and returns the sum of the result; `lowered` may be
  // `nearest`. The count is a multiple of 16.
  double (*lower)(const float* coordinates, int64_t count, int dim, const float* weights, const float* candidate,
                  const float* nearest, float* lowered);
};

}  // namespace mlpress

MLPRESS_DISPATCH(VectorsTable, vectors)
