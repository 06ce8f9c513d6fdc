// A matrix b (k x n) in bfloat16, in panels: [ceil(n / width)][ceil(k / 2)][width][2], padded with zeros.  Two rows of b lie
// side by side, as AMX's tiles want them (its "VNNI" order), and as vectors of floats are made of them with one instruction each.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "modx/backend/bfloat16.hpp"
#include "modx/backend/cpu/panel.hpp"
#include "modx/backend/cpu/simd.hpp"

namespace modx::kernels {

/// Columns of a tile of AMX.
inline constexpr std::size_t amx_columns = 16;
/// Columns of a panel in bfloat16: whole tiles of registers and of AMX.
template <class T>
inline constexpr std::size_t bf16_width = std::max(amx_columns, tile_cols<T>);

/// Elements of a panel of k rows.
template <class T>
constexpr std::size_t bf16_panel_size(std::size_t k) {
  return (k + 1) / 2 * 2 * bf16_width<T>;
}
/// Elements of a k x n matrix in panels.  They fit into the memory of pack(), twice as wide and without the padding of k.
template <class T>
constexpr std::size_t bf16_size(std::size_t k, std::size_t n) {
  return (n + bf16_width<T> - 1) / bf16_width<T> * bf16_panel_size<T>(k);
}
/// Where element (l, column) of a matrix of k rows is.
template <class T>
constexpr std::size_t bf16_at(std::size_t k, std::size_t l, std::size_t column) {
  constexpr std::size_t width = bf16_width<T>;
  return column / width * bf16_panel_size<T>(k) + (l / 2 * width + column % width) * 2 + l % 2;
}

namespace detail {

/// The pair (low, high), both rounded to bfloat16.
[[gnu::always_inline]] inline std::uint32_t bf16_pair(float low, float high) {
  return std::uint32_t(to_bf16(low)) | std::uint32_t(to_bf16(high)) << 16;
}

/// One panel of b: its first cols columns, zeros after them.
template <class T>
void pack_bf16_panel(std::size_t k, std::size_t cols, view<T> b, std::uint16_t* out) {
  constexpr std::size_t width = bf16_width<T>, rows = 32;
  alignas(64) T some[rows * width];
  alignas(64) std::uint32_t pairs[width];
  for (std::size_t l0 = 0; l0 < k; l0 += rows) {
    const std::size_t m = std::min(rows, k - l0);
    if (m % 2) std::fill_n(some + m * width, width, T(0));
    pack_panel(m, cols, width, view<T>{b.data + static_cast<std::ptrdiff_t>(l0) * b.row_stride, b.row_stride, b.col_stride}, some);
    for (std::size_t l = 0; l < m; l += 2) {
      const T *low = some + l * width, *high = low + width;
      for (std::size_t j = 0; j < width; ++j) pairs[j] = bf16_pair(float(low[j]), float(high[j]));
      __builtin_memcpy(out + (l0 + l) * width, pairs, sizeof pairs);
    }
  }
}

}  // namespace detail

/// A matrix to pack: columns [from, from + n) of k x columns, whose panels begin at `out`; `from` is the start of a panel.
template <class T>
struct bf16_pack {
  std::size_t k = 0, from = 0, n = 0;
  view<T> b;
  std::uint16_t* out = nullptr;

  std::size_t panels() const { return (n + bf16_width<T> - 1) / bf16_width<T>; }
  void run(std::size_t panel) const {
    const std::size_t j = panel * bf16_width<T>;
    view<T> columns = b;
    if (columns.data) columns.data += static_cast<std::ptrdiff_t>(j) * columns.col_stride;
    detail::pack_bf16_panel(k, std::min(bf16_width<T>, n - j), columns, out + bf16_at<T>(k, 0, from + j));
  }
};

/// to (n x k) = columns [from, from + n) of a packed matrix of k rows, as rows.
template <class T>
void unpack_bf16_columns(std::size_t k, std::size_t from, std::size_t n, const std::uint16_t* packed, T* to) {
  for (std::size_t j = 0; j < n; ++j) {
    const std::uint16_t* column = packed + bf16_at<T>(k, 0, from + j);
    for (std::size_t l = 0; l < k; ++l) to[j * k + l] = T(from_bf16(column[l / 2 * 2 * bf16_width<T> + l % 2]));
  }
}

}  // namespace modx::kernels
