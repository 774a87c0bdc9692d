#include "isa.hpp"

#include <atomic>
#include <cstdint>

#ifdef MLPRESS_MULTIVERSION
#ifdef _MSC_VER
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace mlpress {
namespace {

#ifdef MLPRESS_MULTIVERSION

struct Registers {
  uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r{0, 0, 0, 0};
#ifdef _MSC_VER
  int info[4];
  __cpuid(info, 0);
  if (static_cast<uint32_t>(info[0]) < leaf) return r;
  __cpuidex(info, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<uint32_t>(info[0]), static_cast<uint32_t>(info[1]), static_cast<uint32_t>(info[2]),
       static_cast<uint32_t>(info[3])};
#else
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
#endif
  return r;
}

// Which vector registers the operating system saves.
uint64_t saved_state() {
#ifdef _MSC_VER
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

bool all(uint32_t value, uint32_t bits) { return (value & bits) == bits; }
constexpr uint32_t bit(int i) { return uint32_t{1} << i; }

Isa probe() {
  const Registers one = cpuid(1, 0);
  // FMA, POPCNT, OSXSAVE, AVX, F16C
  if (!all(one.c, bit(12) | bit(23) | bit(27) | bit(28) | bit(29))) return Isa::baseline;
  const uint64_t state = saved_state();
  if ((state & 0x6) != 0x6) return Isa::baseline;
  const Registers seven = cpuid(7, 0);
  if (!all(seven.b, bit(3) | bit(5) | bit(8))) return Isa::baseline;  // BMI1, AVX2, BMI2
  // AVX512 F, DQ, BW, VL, VBMI and VNNI
  const bool wide = all(seven.b, bit(16) | bit(17) | bit(30) | bit(31)) && all(seven.c, bit(1) | bit(11));
  return wide && (state & 0xe6) == 0xe6 ? Isa::avx512 : Isa::avx2;
}

#else

Isa probe() { return Isa::baseline; }

#endif

std::atomic<int>& level_in_use() {
  static std::atomic<int> level{static_cast<int>(detected_isa())};
  return level;
}

}  // namespace

Isa detected_isa() {
  static const Isa level = probe();
  return level;
}

Isa current_isa() { return static_cast<Isa>(level_in_use().load(std::memory_order_relaxed)); }

bool use_isa(Isa level) {
  if (level < Isa::baseline || level > detected_isa()) return false;
  level_in_use().store(static_cast<int>(level), std::memory_order_relaxed);
  return true;
}

}  // namespace mlpress
