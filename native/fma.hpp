// Products added to sixteen sums at a time. Unlike the rest of lanes.hpp, with one rounding where the machine can.
#pragma once

#include "lanes.hpp"

// Registers cannot be counted off at run time: GCC keeps an array in them once its loops are unrolled, and it has to be
// told to do so in time.
#if defined(__GNUC__) && !defined(__clang__)
#define MLPRESS_UNROLL _Pragma("GCC unroll 16")
#else
#define MLPRESS_UNROLL
#endif

namespace mlpress {
namespace MLPRESS_ISA {

#if defined(MLPRESS_AVX512)
static inline Lanes fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
constexpr int kTileRows = 14, kTileLanes = 2;  // 28 of 32 registers hold sums
constexpr int kWideTileRows = 6, kWideTileLanes = 4;
#elif defined(MLPRESS_AVX2)
static inline Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
constexpr int kTileRows = 6, kTileLanes = 1;  // 12 of 16
constexpr int kWideTileRows = 6, kWideTileLanes = 1;
#else
static inline Lanes fma(Lanes a, Lanes b, Lanes c) { return a * b + c; }
constexpr int kTileRows = 2, kTileLanes = 1;
constexpr int kWideTileRows = 2, kWideTileLanes = 1;
#endif

// a * b + c, rounded once as far as it matters: without an instruction for it, the sum is rounded to double precision first.
#if defined(MLPRESS_AVX2)
static inline Lanes fused(Lanes a, Lanes b, Lanes c) { return fma(a, b, c); }
#else
static inline Lanes fused(Lanes a, Lanes b, Lanes c) {
  Lanes r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = static_cast<float>(static_cast<double>(a.v[i]) * b.v[i] + c.v[i]);
  return r;
}
#endif

// Asks for what will be read or written soon; `far` for the second-level cache.
#if defined(__GNUC__)
static inline void prefetch(const void* p) { __builtin_prefetch(p); }
static inline void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }
#elif defined(MLPRESS_X86)
static inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
static inline void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
#else
static inline void prefetch(const void*) {}
static inline void prefetch_far(const void*) {}
#endif

}  // namespace MLPRESS_ISA
}  // namespace mlpress
