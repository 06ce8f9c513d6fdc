// c = act(beta c + a b + bias) over weights packed in panels, many products at once, by our tiles or Eigen's.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>

#include "modx/backend/cpu/bf16_product.hpp"
#include "modx/backend/cpu/block.hpp"
#include "modx/backend/cpu/pack.hpp"
#include "modx/backend/cpu/product.hpp"
#include "modx/backend/cpu/thread_pool.hpp"
#include "modx/backend/cpu/tile.hpp"
#include "modx/error.hpp"
#if MODX_EIGEN_PANELS
#include "modx/backend/cpu/gemm_eigen.hpp"
#endif

namespace modx::kernels {

namespace detail {

/// A panel's part of 64 KiB is summed at a time: it streams from the second cache while rows of a go by.
template <class T>
inline constexpr std::size_t k_block = 65536 / sizeof(T) / tile_cols<T>;

/// Columns of a that lie far apart are copied side by side first: a tile would touch a line, often a page, for each.
template <class T>
bool copies_a(const product<T>& p) {
  return !by_row(p) && p.k >= 64 && p.n > 4 * tile_cols<T>;
}
/// Panels that a copy of rows of a should serve at least.
inline constexpr std::size_t panels_a_copy = 32;

/// Tasks of about task_flops whose rows of a stay in the second cache (256 KiB): by the shape alone.
template <class T>
cut cut_of(const product<T>& p) {
  if constexpr (std::is_same_v<T, float>) {
    if (p.rounded) return bf16_cut(p);
  }
  constexpr double task_flops = 1e6;
  constexpr auto tile = static_cast<std::size_t>(tile_rows);
  if (p.m == 0 || p.n == 0) return {};
  const std::size_t k = std::clamp<std::size_t>(p.k, 1, k_block<T>);
  const std::size_t most = std::clamp<std::size_t>(262144 / sizeof(T) / k, 60, 240);
  const std::size_t blocks = (p.m + most - 1) / most,
                    rows = ((p.m + blocks - 1) / blocks + tile - 1) / tile * tile;
  const std::size_t width = p.packed_bf16 ? bf16_width<T> : panel_width<T>, panels = (p.n + width - 1) / width;
  const double flops = 2.0 * static_cast<double>(std::min(p.m, rows) * width) * static_cast<double>(p.k + 1);
  auto wanted = static_cast<std::size_t>(std::clamp(task_flops / flops, 1.0, static_cast<double>(panels)));
  if (copies_a(p)) wanted = std::max(wanted, std::min(panels, panels_a_copy));
  const std::size_t ranges = (panels + wanted - 1) / wanted;
  return {rows, (p.m + rows - 1) / rows, (panels + ranges - 1) / ranges, ranges};
}

/// Rows of k that are summed at a time: an even number, as bfloat16 has them in pairs.
template <class T>
std::size_t blocks_of_k(const product<T>& p) {
  return std::max<std::size_t>(1, (p.k + k_block<T> - 1) / k_block<T>);
}
template <class T>
std::size_t step_of_k(const product<T>& p, std::size_t blocks) {
  return ((p.k + blocks - 1) / blocks + 1) / 2 * 2;
}
/// Rows that a packed panel of k rows takes up.
template <class T, class W>
std::size_t packed_rows(std::size_t k) {
  return (k + rows_together<T, W> - 1) / rows_together<T, W> * rows_together<T, W>;
}

/// A block of at most most_few_rows rows of a, as in decoding: bound by reading b once.
template <class T, class W>
void block_few_rows(const product<T>& p, const W* packed, std::size_t i0, std::size_t rows, std::size_t p0, std::size_t p1) {
  constexpr std::size_t width = tile_cols<T>;
  const std::size_t blocks = blocks_of_k(p), step = step_of_k(p, blocks), apart = packed_rows<T, W>(p.k) * width;
  alignas(vector_bytes) T sums[few_panels * most_few_rows * width];
  for (std::size_t panel = p0; panel < p1;) {
    const std::size_t together = rows == 1 && panel + 4 <= p1 ? 4 : panel + 2 <= p1 ? 2 : 1;
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t k0 = std::min(p.k, block * step), k = std::min(p.k, k0 + step) - k0;
      const factors<T, W> f{p.a.data + static_cast<std::ptrdiff_t>(i0) * p.a.row_stride + static_cast<std::ptrdiff_t>(k0),
                            p.a.row_stride, packed + panel * apart + k0 * width, std::ptrdiff_t(width), k};
      if (together == 4) {
        few_rows<T, 1, 4>(f, apart, sums);
      } else if (together == 2) {
        (rows == 1 ? &few_rows<T, 1, 2, W> : rows == 2 ? &few_rows<T, 2, 2, W> : &few_rows<T, 3, 2, W>)(f, apart, sums);
      } else {
        (rows == 1 ? &few_rows<T, 1, 1, W> : rows == 2 ? &few_rows<T, 2, 1, W> : &few_rows<T, 3, 1, W>)(f, apart, sums);
      }
      for (std::size_t q = 0; q < together; ++q) {
        const std::size_t j = (panel + q) * width;
        finish(rows, sums + q * rows * width,
               target_of(p, i0, j, std::min(width, p.n - j), block == 0, block + 1 == blocks));
      }
    }
    panel += together;
  }
}

/// Copies a(i .. i + m, l .. l + k), whose columns are contiguous, to out: for each tile k x its rows.
template <class T>
void copy_a(const product<T>& p, std::size_t i, std::size_t m, std::size_t l, std::size_t k, T* out) {
  constexpr auto most = static_cast<std::size_t>(tile_rows);
  constexpr std::size_t ahead = 8;
  const T* from = p.a.data + i + static_cast<std::ptrdiff_t>(l) * p.a.col_stride;
  for (std::size_t j = 0; j < k; ++j, from += p.a.col_stride) {
    if (j + ahead < k) {
      const T* next = from + static_cast<std::ptrdiff_t>(ahead) * p.a.col_stride;
      for (std::size_t q = 0; q < m; q += 64 / sizeof(T)) __builtin_prefetch(next + q);
    }
    each_tile(m, [&](std::size_t first, std::size_t rows) {
      T* to = out + first * k + j * rows;
      if (rows == most) {
        __builtin_memcpy(to, from + first, most * sizeof(T));
      } else {
        for (std::size_t r = 0; r < rows; ++r) to[r] = from[first + r];
      }
    });
  }
}

/// Rows [i0, i1) x panels [p0, p1) of one product by register tiles; `packed` in panels of `width` columns.
template <class T, class W>
void block_tiles(const product<T>& p, const W* packed, std::size_t width, std::size_t i0, std::size_t i1, std::size_t p0,
                 std::size_t p1) {
  const bool along = by_row(p);
  if (along && i1 - i0 <= most_few_rows && width == tile_cols<T>) return block_few_rows(p, packed, i0, i1 - i0, p0, p1);
  const std::ptrdiff_t stride = along ? p.a.row_stride : p.a.col_stride;
  const std::size_t blocks = blocks_of_k(p), step = step_of_k(p, blocks), apart = packed_rows<T, W>(p.k) * width;
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t k0 = std::min(p.k, block * step), k = std::min(p.k, k0 + step) - k0;
    const bool last = block + 1 == blocks;
    T* copy = nullptr;
    if (copies_a(p)) {
      copy = memory_of_copy<T>((i1 - i0) * k);
      copy_a(p, i0, i1 - i0, k0, k, copy);
    }
    for (std::size_t j0 = p0 * width; j0 < std::min(p.n, p1 * width); j0 += tile_cols<T>) {
      const std::size_t cols = std::min(tile_cols<T>, p.n - j0);
      const W* b = packed + j0 / width * apart + k0 * width + j0 % width * rows_together<T, W>;
      // a panel that lives in the first cache is asked for while the one before it is used (a longer one
      // streams)
      const std::size_t ahead = j0 + width < p.n && k * width * sizeof(W) <= 24576 ? k * width : 0;
      each_tile(i1 - i0, [&](std::size_t first, std::size_t rows) {
        const std::size_t share = ahead / (i1 - i0);
        for (std::size_t q = first * share; q < (first + rows) * share; q += 64 / sizeof(W)) {
          __builtin_prefetch(b + apart + q);
        }
        const std::size_t i = i0 + first;
        const T* a = p.a.data + static_cast<std::ptrdiff_t>(i) * p.a.row_stride +
                     static_cast<std::ptrdiff_t>(k0) * p.a.col_stride;
        const factors<T, W> f{copy ? copy + first * k : a, copy ? static_cast<std::ptrdiff_t>(rows) : stride, b,
                              static_cast<std::ptrdiff_t>(width), k};
        const auto to = target_of(p, i, j0, cols, block == 0, last);
        (along ? tile_for<T, layout::along, W>(rows) : tile_for<T, layout::across, W>(rows))(f, to);
      });
    }
  }
}

template <class T>
void check(const product<T>& p) {
  check("multiply", p.m, p.k, p.a);
  if (p.m > 1 && p.ldc < p.n) throw error("multiply", "ldc >= " + std::to_string(p.n), std::to_string(p.ldc));
}

}  // namespace detail

/// Computes all products at once; the bits do not depend on the number of threads, nor on the other products.
template <class T>
void multiply(thread_pool& pool, std::span<const product<T>> products) {
  std::size_t tasks = 0;
  for (const product<T>& p : products) {
    detail::check(p);
    const detail::cut c = detail::cut_of(p);
    tasks += c.row_blocks * c.panel_blocks;
  }
  pool.run(tasks, [products](std::size_t task) {
    for (const product<T>& p : products) {
      const detail::cut c = detail::cut_of(p);
      if (task >= c.row_blocks * c.panel_blocks) {
        task -= c.row_blocks * c.panel_blocks;
        continue;
      }
      if constexpr (std::is_same_v<T, float>) {
        if (p.rounded) return detail::bf16_block(p, c, task);
      }
      const std::size_t width = p.packed_bf16 ? bf16_width<T> : panel_width<T>, panels = (p.n + width - 1) / width;
      const std::size_t i = task / c.panel_blocks * c.rows, panel = task % c.panel_blocks * c.panels;
      const std::size_t i1 = std::min(p.m, i + c.rows), panel1 = std::min(panels, panel + c.panels);
      if (p.packed_bf16) return detail::block_tiles(p, p.packed_bf16, bf16_width<T>, i, i1, panel, panel1);
#if MODX_EIGEN_PANELS
      detail::block_eigen(p, i, i1, panel, panel1);
#else
      detail::block_tiles(p, p.packed_b, panel_width<T>, i, i1, panel, panel1);
#endif
      return;
    }
  });
}

}  // namespace modx::kernels
