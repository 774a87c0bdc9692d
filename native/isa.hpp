// Run-time choice of the instruction set.
//
// A file in native/hot is compiled once for each level (baseline, avx2, avx512) with MLPRESS_ISA naming the level.
// It puts everything in namespace mlpress::MLPRESS_ISA, defines one table of function pointers, and includes only C
// headers, intrinsics and headers whose contents live in that namespace: an inline function of the C++ library that
// was compiled for AVX-512 could otherwise be the one the linker keeps for all callers.
#pragma once

#ifndef MLPRESS_ISA
#define MLPRESS_ISA baseline
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define MLPRESS_X86 1
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
#define MLPRESS_ARM64 1
#endif
// What this file may use; true at both AVX levels.
#if defined(MLPRESS_LEVEL_AVX2) || defined(MLPRESS_LEVEL_AVX512)
#define MLPRESS_AVX2 1
#endif
#if defined(MLPRESS_LEVEL_AVX512)
#define MLPRESS_AVX512 1  // F, BW, VL, DQ, VBMI and VNNI
#endif

namespace mlpress {

enum class Isa : int { baseline = 0, avx2 = 1, avx512 = 2 };

// The best level that both this processor and its operating system support.
Isa detected_isa();
// The level in use: the detected one, unless a test chose a lower one.
Isa current_isa();
// Returns false and changes nothing when the level is above the detected one.
bool use_isa(Isa level);

}  // namespace mlpress

// In a header: declares `const Table& name()`, which returns the variant for the level in use. Each hot file defines
// `extern const Table name##_table` in namespace mlpress::MLPRESS_ISA.
#ifdef MLPRESS_MULTIVERSION
#define MLPRESS_DISPATCH(Table, name)                             \
  namespace mlpress {                                             \
  namespace baseline { extern const Table name##_table; }         \
  namespace avx2 { extern const Table name##_table; }             \
  namespace avx512 { extern const Table name##_table; }           \
  static inline const Table& name() {                             \
    switch (current_isa()) {                                      \
      case Isa::avx512: return avx512::name##_table;              \
      case Isa::avx2: return avx2::name##_table;                  \
      default: return baseline::name##_table;                     \
    }                                                             \
  }                                                               \
  }
#else
#define MLPRESS_DISPATCH(Table, name)                             \
  namespace mlpress {                                             \
  namespace baseline { extern const Table name##_table; }         \
  static inline const Table& name() { return baseline::name##_table; } \
  }
#endif
