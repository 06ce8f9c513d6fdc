// b (k x n) in panels [ceil(n / width)][k][width], padded with zeros: the layout that multiply() streams.
#pragma once
#include <algorithm>
#include <cstddef>

#include "modx/backend/cpu/product.hpp"
#include "modx/backend/cpu/simd.hpp"

// Eigen's kernels take over where there is no AVX2, or on request.
#if defined(MODX_EIGEN_GEMM) || !(defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__)))
#define MODX_EIGEN_PANELS 1
#else
#define MODX_EIGEN_PANELS 0
#endif

namespace modx::kernels {

/// Columns of a panel: a register tile's, or more where Eigen multiplies.
template <class T>
inline constexpr std::size_t panel_width = MODX_EIGEN_PANELS ? 64 : tile_cols<T>;

/// Elements that pack() writes for a k x n matrix.
template <class T>
std::size_t packed_size(std::size_t k, std::size_t n) {
  return (n + panel_width<T> - 1) / panel_width<T> * k * panel_width<T>;
}

namespace detail {

/// to[l * width + j] = from[j * stride + l] for l, j < 4 (float) or 2 (double).
template <class T>
[[gnu::always_inline]] inline void transpose_block(const T* from, std::ptrdiff_t stride, T* to,
                                                   std::size_t width) {
  using quad [[gnu::vector_size(16)]] = T;
  quad v[16 / sizeof(T)];
  for (std::size_t j = 0; j < 16 / sizeof(T); ++j) {
    __builtin_memcpy(&v[j], from + static_cast<std::ptrdiff_t>(j) * stride, 16);
  }
  if constexpr (sizeof(T) == 4) {
    const quad a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5),
               b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
    const quad c = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7),
               d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
  } else {
    const quad a = __builtin_shufflevector(v[0], v[1], 0, 2);
    v[1] = __builtin_shufflevector(v[0], v[1], 1, 3);
    v[0] = a;
  }
  for (std::size_t l = 0; l < 16 / sizeof(T); ++l) __builtin_memcpy(to + l * width, &v[l], 16);
}

/// One panel: columns 0 .. cols of b to out (k x width), zeros after them.
template <class T>
void pack_panel(std::size_t k, std::size_t cols, std::size_t width, view<T> b, T* out) {
  constexpr std::size_t block = 16 / sizeof(T);
  if (cols < width) std::fill_n(out, k * width, T(0));
  if (b.col_stride == 1) {
    for (std::size_t l = 0; l < k; ++l) {
      std::copy_n(b.data + static_cast<std::ptrdiff_t>(l) * b.row_stride, cols, out + l * width);
    }
    return;
  }
  const bool blocks = b.row_stride == 1;
  const std::size_t whole_cols = blocks ? cols / block * block : 0, whole_k = k / block * block;
  for (std::size_t l = 0; l < whole_k && whole_cols; l += block) {
    for (std::size_t j = 0; j < whole_cols; j += block) {
      const T* from = b.data + static_cast<std::ptrdiff_t>(j) * b.col_stride + static_cast<std::ptrdiff_t>(l);
      transpose_block(from, b.col_stride, out + l * width + j, width);
    }
  }
  for (std::size_t l = 0; l < k; ++l) {
    for (std::size_t j = l < whole_k ? whole_cols : 0; j < cols; ++j) {
      out[l * width + j] = b.data[static_cast<std::ptrdiff_t>(l) * b.row_stride +
                                  static_cast<std::ptrdiff_t>(j) * b.col_stride];
    }
  }
}

}  // namespace detail

}  // namespace modx::kernels
