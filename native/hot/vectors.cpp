#include "vectors.hpp"

#include "floats.hpp"

namespace mlpress {
namespace MLPRESS_ISA {
namespace {

// One block of points: coordinates [dim, kVectorBlock], then what the search for the nearest centroid finds.
struct Block {
  float* coordinates;
  float index[kVectorBlock];
  float distance[kVectorBlock];
};

// Brings `count` points from `start` on into the block, zeros after them. The upper half of scratch is a staging area.
template <typename Bits>
void load_block(const Points<Bits>& points, int64_t start, int count, float* scratch, float* to, int64_t stride) {
  const int dim = points.dim;
  const Bits* from = points.values + start * dim;
  float* staged = scratch + kVectorBlock * (dim + 1);
  each_step(static_cast<int64_t>(count) * dim,
            [=](int64_t i, int some) { store(staged + i, load_some(from + i, some)); });
  for (int j = 0; j < dim; ++j) {
    const float middle = points.middle[j];
    for (int t = 0; t < count; ++t) to[j * stride + t] = (staged[t * dim + j] - middle) * points.factor;
  }
}

// The nearest centroid has the largest product with the point less half its own squared length. kDim is the dimension,
// or 0 where it is only known at run time. Two vectors of points share the loads of a centroid.
template <int kDim>
void find_nearest(const Centroids& centroids, int dim, Block& block) {
  const int length = kDim ? kDim : dim;
  for (int t = 0; t < kVectorBlock; t += 2 * kLanes) {
    const float* x = block.coordinates + t;
    const float* y = x + kLanes;
    Lanes best_x = all(-3e38f), best_y = best_x, index_x = all(0), index_y = all(0), current = all(0);
    const float* centroid = centroids.values;
    for (int c = 0; c < centroids.count; ++c, centroid += length) {
      Lanes score_x = all(-centroids.halves[c]), score_y = score_x;
      for (int j = 0; j < length; ++j) {
        const Lanes value = all(centroid[j]);
        score_x = score_x + value * load(x + j * kVectorBlock);
        score_y = score_y + value * load(y + j * kVectorBlock);
      }
      index_x = where_less(best_x, score_x, current, index_x);
      index_y = where_less(best_y, score_y, current, index_y);
      best_x = larger(best_x, score_x);
      best_y = larger(best_y, score_y);
      current = current + all(1);
    }
    store(block.index + t, index_x);
    store(block.index + t + kLanes, index_y);
    store(block.distance + t, best_x);
    store(block.distance + t + kLanes, best_y);
  }
  for (int t = 0; t < kVectorBlock; t += kLanes) {
    Lanes own = all(0);
    for (int j = 0; j < length; ++j) {
      const Lanes value = load(block.coordinates + j * kVectorBlock + t);
      own = own + value * value;
    }
    const Lanes best = load(block.distance + t);
    store(block.distance + t, clamp(own - best - best, all(0), all(3e38f)));
  }
}

template <typename Bits, typename Visit>
void each_block(const Points<Bits>& points, const Centroids& centroids, float* scratch, Visit visit) {
  Block block;
  block.coordinates = scratch;
  for (int64_t i = 0; i < kVectorBlock * points.dim; ++i) scratch[i] = 0;
  for (int64_t start = 0; start < points.count; start += kVectorBlock) {
    const int64_t left = points.count - start;
    const int count = left < kVectorBlock ? static_cast<int>(left) : kVectorBlock;
    load_block(points, start, count, scratch, scratch, kVectorBlock);
    switch (points.dim) {
      case 2: find_nearest<2>(centroids, 2, block); break;
      case 4: find_nearest<4>(centroids, 4, block); break;
      default: find_nearest<0>(centroids, points.dim, block);
    }
    visit(block, start, count);
  }
}

template <typename Bits>
void accumulate(const Points<Bits>& points, const Centroids& centroids, float* scratch, const ClusterSums& out) {
  const int dim = points.dim;
  each_block(points, centroids, scratch, [&](const Block& block, int64_t start, int count) {
    for (int t = 0; t < count; ++t) {
      const int c = static_cast<int>(block.index[t]);
      const float weight = points.weights ? points.weights[start + t] : 1.0f;
      const float distance = weight * block.distance[t];
      out.mass[c] += weight;
      out.error[c] += distance;
      for (int j = 0; j < dim; ++j) out.sums[c * dim + j] += weight * block.coordinates[j * kVectorBlock + t];
      if (distance > out.distance[c]) {
        out.distance[c] = distance;
        out.farthest[c] = start + t;
      }
    }
  });
}

template <typename Bits>
void label(const Points<Bits>& points, const Centroids& centroids, float* scratch, uint8_t* labels) {
  each_block(points, centroids, scratch, [&](const Block& block, int64_t start, int count) {
    for (int t = 0; t < count; ++t) labels[start + t] = static_cast<uint8_t>(static_cast<int>(block.index[t]));
  });
}

template <typename Bits>
void gather(const Points<Bits>& points, float* scratch, int64_t stride, float* coordinates) {
  for (int64_t i = 0; i < stride * points.dim; ++i) coordinates[i] = 0;
  for (int64_t start = 0; start < points.count; start += kVectorBlock) {
    const int64_t left = points.count - start;
    load_block(points, start, left < kVectorBlock ? static_cast<int>(left) : kVectorBlock, scratch,
               coordinates + start, stride);
  }
}

double lower(const float* coordinates, int64_t count, int dim, const float* weights, const float* candidate,
             const float* nearest, float* lowered) {
  double total = 0;
  Lanes some = all(0);
  for (int64_t i = 0; i < count; i += kLanes) {
    Lanes distance = all(0);
    for (int j = 0; j < dim; ++j) {
      const Lanes d = load(coordinates + j * count + i) - all(candidate[j]);
      distance = distance + d * d;
    }
    distance = distance * load(weights + i);
    const Lanes before = load(nearest + i);
    const Lanes after = where_less(distance, before, distance, before);
    store(lowered + i, after);
    some = some + after;
    if (i % 1024 == 1024 - kLanes) {  // few enough to add up in float32
      total += sum(some);
      some = all(0);
    }
  }
  return total + sum(some);
}

template <typename Bits>
constexpr VectorsOf<Bits> table() {
  return {accumulate<Bits>, label<Bits>, gather<Bits>};
}

}  // namespace

extern const VectorsTable vectors_table;
const VectorsTable vectors_table = {table<uint16_t>(), table<uint32_t>(), lower};

}  // namespace MLPRESS_ISA
}  // namespace mlpress
