// AMX, the matrix unit of newer Intel CPUs: may it be used, and its tiles.
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__) && defined(__linux__)
#define MODX_HAS_AMX_CODE 1
#define MODX_AMX __attribute__((target("amx-tile,amx-bf16")))
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define MODX_HAS_AMX_CODE 0
#define MODX_AMX
#endif

namespace modx::kernels {

/// Rows of a tile at most; each has 64 bytes: 16 floats, or 16 pairs of bfloat16.
inline constexpr std::size_t amx_rows = 16;

/// What a thread gives to ldtilecfg.  Palette 1 (eight tiles of 16 x 64 bytes) is taken as given: virtual machines that offer AMX may
/// hide the CPUID leaves that describe it.
struct alignas(64) amx_config {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  /// Tiles 0 to 3 are sums and 4, 5 left operands, all of `left_rows` rows; 6 and 7 are right operands.
  explicit amx_config(std::size_t left_rows) {
    for (int t = 0; t < 8; ++t) row_bytes[t] = 64, rows[t] = static_cast<std::uint8_t>(t < 6 ? left_rows : amx_rows);
  }
};
static_assert(sizeof(amx_config) == 64);

#if MODX_HAS_AMX_CODE

/// The CPU's own tiles, of the calling thread.  Not by <immintrin.h>: GCC 12 tells its optimiser of 8 of the configuration's 64 bytes,
/// and of no memory that a tile is loaded from.
struct amx_tiles {
  MODX_AMX static void configure(const amx_config& c) { asm volatile("ldtilecfg %0" : : "m"(c)); }
  MODX_AMX static void release() { asm volatile("tilerelease"); }
  template <int t>
  MODX_AMX static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(t));
  }
  template <int t>
  MODX_AMX static void load(const void* p, std::size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(t) : "memory");
  }
  template <int t>
  MODX_AMX static void store(void* p, std::size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(t) : "memory");
  }
  /// sum += left right.
  template <int sum, int left, int right>
  MODX_AMX static void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(left), "i"(right));
  }
};

/// Asks the CPU and the system for AMX's tiles, for this process; null, or why they can't be had.
inline const char* ask_for_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return "the CPU has no AMX";
  const bool saves = c >> 27 & 1u;  // OSXSAVE: xgetbv may be asked
  constexpr unsigned tile = 1u << 24, bf16 = 1u << 22;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tile) == 0 || (d & bf16) == 0) return "the CPU has no AMX";
  constexpr unsigned both = 3u << 17;  // the tiles' configuration and data
  unsigned enabled = 0, high = 0;
  if (saves) asm volatile("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
  if ((enabled & both) != both) return "the system does not save AMX's tiles";
  constexpr long ask_for_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM of Linux 5.16
  if (::syscall(SYS_arch_prctl, ask_for_permission, tile_data) != 0) return "the system does not permit AMX";
  return nullptr;
}

#else

inline const char* ask_for_amx() { return "this program was built for another system than Linux on x86-64"; }

#endif

}  // namespace modx::kernels
