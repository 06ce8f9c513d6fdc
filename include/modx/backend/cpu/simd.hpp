// Vectors of the widest kind that the target has, and the register tiles that fit it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <modx/backend/bfloat16.hpp>
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#endif

// Loops over the registers of a tile have to go before the compiler looks for arrays to keep in registers.
#if defined(__clang__)
#define MODX_UNROLL _Pragma("unroll")
#else
#define MODX_UNROLL _Pragma("GCC unroll 16")
#endif

namespace modx::kernels {

#if defined(__AVX512F__)
inline constexpr std::size_t vector_bytes = 64;
inline constexpr int tile_rows = 14;  // 28 sums, 2 columns of b and 1 of a in 32 registers
#elif defined(__AVX2__) && defined(__FMA__)
inline constexpr std::size_t vector_bytes = 32;
inline constexpr int tile_rows = 6;  // 12 sums, 2 columns of b and 1 of a in 16 registers
#else
inline constexpr std::size_t vector_bytes = 16;
inline constexpr int tile_rows = 4;
#endif

/// Scalars in a vector.
template <class T>
inline constexpr std::size_t lanes = vector_bytes / sizeof(T);

/// Columns of a register tile: two vectors.
template <class T>
inline constexpr std::size_t tile_cols = 2 * lanes<T>;

namespace detail {
template <class T>
struct vector_of {
  using type [[gnu::vector_size(vector_bytes)]] = T;
};
}  // namespace detail

template <class T>
using vec = typename detail::vector_of<T>::type;

/// The lanes<T> scalars at p, any alignment.
template <class T>
[[gnu::always_inline]] inline vec<T> load(const T* p) {
  vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

/// lanes<T> scalars of row 0 (odd: row 1) of a packed matrix at p.  One of T has each row by itself; one of bfloat16
/// (std::uint16_t), the upper halves of floats, has two rows side by side: (0, 0), (1, 0), (0, 1), (1, 1), ...
template <class T, bool odd = false>
[[gnu::always_inline]] inline vec<T> load_packed(const T* p) {
  static_assert(!odd);
  return load(p);
}
template <class T, bool odd = false>
[[gnu::always_inline]] inline vec<T> load_packed(const std::uint16_t* p) {
  vec<T> v = {};
  if constexpr (sizeof(T) == 4) {
    using words [[gnu::vector_size(vector_bytes)]] = std::uint32_t;
    words pairs;
    __builtin_memcpy(&pairs, p, sizeof pairs);
    if constexpr (odd) {
      pairs &= 0xffff0000u;
    } else {
      pairs <<= 16;
    }
    __builtin_memcpy(&v, &pairs, sizeof v);
  } else {
    for (std::size_t j = 0; j < lanes<T>; ++j) v[j] = T(__builtin_bit_cast(float, std::uint32_t(p[2 * j + odd]) << 16));
  }
  return v;
}
/// Rows that a packed matrix of W has side by side.
template <class T, class W>
inline constexpr std::size_t rows_together = sizeof(W) < sizeof(T) ? 2 : 1;

/// p[0 .. lanes) = v, any alignment.
template <class T>
[[gnu::always_inline]] inline void store(T* p, const vec<T>& v) {
  __builtin_memcpy(p, &v, sizeof v);
}

/// Keeps v in a register: GCC would rather load it again for each use, and loads are what runs out.
template <class T>
[[gnu::always_inline]] inline void keep(vec<T>& v) {
#if defined(__AVX__)
  asm("" : "+v"(v));
#else
  static_cast<void>(v);
#endif
}

/// sum + x * v in one rounding where the target can: always, since a compiler that fuses only some tiles
/// would make a row's bits depend on its neighbours (GCC does so when it tunes for Zen).
template <class T>
[[gnu::always_inline]] inline vec<T> multiply_add(T x, const vec<T>& v, const vec<T>& sum) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return _mm512_fmadd_ps(_mm512_set1_ps(x), v, sum);
  if constexpr (sizeof(T) == 8) return _mm512_fmadd_pd(_mm512_set1_pd(x), v, sum);
#elif defined(__AVX2__) && defined(__FMA__)
  if constexpr (sizeof(T) == 4) return _mm256_fmadd_ps(_mm256_set1_ps(x), v, sum);
  if constexpr (sizeof(T) == 8) return _mm256_fmadd_pd(_mm256_set1_pd(x), v, sum);
#else
  return x * v + sum;
#endif
}

}  // namespace modx::kernels
