// One register tile, c (rows x cols) = act(beta c + sum over k of a b + bias), for every vector width.
#pragma once
#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "modx/backend/cpu/activate.hpp"
#include "modx/backend/cpu/simd.hpp"

namespace modx::kernels::detail {

/// What a tile sums: for each group g, segment s and l < k, a(row, l) b(l, col), with
/// a(row, l) = a[g * a_group + s * a_step + ...] at row * stride + l, l * stride + row or rows[row] + l by
/// layout, b(l, col) = b[(g * segments + s) * b_step + l * ldb + col]; all its columns must be readable.  W: T, or bfloat16 with
/// rows 2 l and 2 l + 1 side by side in the place of both (load_packed).
template <class T, class W = T>
struct factors {
  const T* a;
  std::ptrdiff_t stride;
  const W* b;
  std::ptrdiff_t ldb;
  std::size_t k;
  std::size_t segments = 1;
  std::ptrdiff_t a_step = 0, b_step = 0;
  std::size_t groups = 1;
  std::ptrdiff_t a_group = 0;
  const std::ptrdiff_t* rows = nullptr;
};

/// How a lies in memory: its rows contiguous, its columns, or each row somewhere.
enum class layout { along, across, scattered };

/// Where the tile goes and what happens to it on the way; only cols columns are touched.
template <class T>
struct target {
  T beta;
  T* c;
  std::size_t ldc, cols;
  const T* bias = nullptr;
  activation act = activation::none;
  T* pre = nullptr;
  const T* gate = nullptr;
};

/// Adds the products of one l: a at `a` (a row's at row[r] + l where they are scattered), b's row at `b`, odd or even.
template <class T, std::size_t R, layout how, bool odd, class W>
[[gnu::always_inline]] inline void add_products(const T* a, std::ptrdiff_t stride, const T* const (&row)[R], std::size_t l, const W* b,
                                                vec<T> (&low)[R], vec<T> (&high)[R]) {
  constexpr std::size_t across = lanes<T> * rows_together<T, W>;
  vec<T> b0 = load_packed<T, odd>(b), b1 = load_packed<T, odd>(b + across);
  keep<T>(b0);
  keep<T>(b1);
  MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
    T x;
    if constexpr (how == layout::along) x = a[static_cast<std::ptrdiff_t>(r) * stride];
    if constexpr (how == layout::across) x = a[r];
    if constexpr (how == layout::scattered) x = row[r][l];
    low[r] = multiply_add(x, b0, low[r]);
    high[r] = multiply_add(x, b1, high[r]);
  }
}

/// The sums of R rows x 2 vectors.
template <class T, std::size_t R, layout how, class W>
[[gnu::always_inline]] inline void sum(const factors<T, W>& f, vec<T> (&low)[R], vec<T> (&high)[R]) {
  constexpr std::size_t together = rows_together<T, W>;
  const std::ptrdiff_t step = how == layout::across ? f.stride : 1;
  const W* next_b = f.b;
  for (std::size_t g = 0; g < f.groups; ++g) {
    const T* next_a = f.a + static_cast<std::ptrdiff_t>(g) * f.a_group;
    for (std::size_t s = 0; s < f.segments; ++s) {
      const T* a = next_a;
      const W* b = next_b;
      next_a += f.a_step;
      next_b += f.b_step;
      const T* row[R] = {};
      if constexpr (how == layout::scattered) {
        MODX_UNROLL for (std::size_t r = 0; r < R; ++r) row[r] = a + f.rows[r];
      }
      std::size_t l = 0;
      for (; l + together <= f.k; l += together) {
        add_products<T, R, how, false>(a, f.stride, row, l, b, low, high);
        a += step;
        if constexpr (together == 2) {
          add_products<T, R, how, true>(a, f.stride, row, l + 1, b, low, high);
          a += step;
        }
        b += static_cast<std::ptrdiff_t>(together) * f.ldb;
      }
      if constexpr (together == 2) {
        if (l < f.k) add_products<T, R, how, false>(a, f.stride, row, l, b, low, high);
      }
    }
  }
}

/// The general ending: rows x width sums, of which to.cols columns count, with every option.
template <class T, std::size_t width, bool full>
void finish_rows(std::size_t rows, T* sums, const target<T>& to) {
  const std::size_t cols = full ? width : to.cols;  // a known number makes vectors of these loops
  for (std::size_t r = 0; r < rows; ++r) {
    T* x = sums + r * width;
    T* c = to.c + r * to.ldc;
    if (to.beta != T(0)) {
      for (std::size_t j = 0; j < cols; ++j) x[j] += to.beta * c[j];
    }
    if (to.bias) {
      for (std::size_t j = 0; j < cols; ++j) x[j] += to.bias[j];
    }
    if (to.pre) {
      for (std::size_t j = 0; j < cols; ++j) to.pre[r * to.ldc + j] = x[j];
    }
    if (to.act != activation::none) activate_row(to.act, width, x, x);
    if (to.gate) {
      for (std::size_t j = 0; j < cols; ++j) x[j] = to.gate[r * to.ldc + j] > T(0) ? x[j] : T(0);
    }
    for (std::size_t j = 0; j < cols; ++j) c[j] = x[j];
  }
}
template <class T, std::size_t width = tile_cols<T>>
[[gnu::noinline]] void finish(std::size_t rows, T* sums, const target<T>& to) {
  if (to.cols == width) return finish_rows<T, width, true>(rows, sums, to);
  finish_rows<T, width, false>(rows, sums, to);
}

/// The whole tile of R rows x 2 vectors; the common endings stay in registers.
template <class T, std::size_t R, layout how, class W = T>
void tile(const factors<T, W>& f, const target<T>& to) {
  vec<T> low[R] = {}, high[R] = {};
  sum<T, R, how, W>(f, low, high);
  if (to.cols < tile_cols<T> || to.pre || to.act > activation::relu) {
    alignas(vector_bytes) T sums[R * tile_cols<T>];
    MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      store(sums + r * tile_cols<T>, low[r]);
      store(sums + r * tile_cols<T> + lanes<T>, high[r]);
    }
    return finish(R, sums, to);
  }
  T* const c0 = to.c;
  T* const c1 = to.c + lanes<T>;
  if (to.beta != T(0)) {
    MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      low[r] = multiply_add(to.beta, load(c0 + r * to.ldc), low[r]);
      high[r] = multiply_add(to.beta, load(c1 + r * to.ldc), high[r]);
    }
  }
  if (to.bias) {
    const vec<T> b0 = load(to.bias), b1 = load(to.bias + lanes<T>);
    MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      low[r] += b0;
      high[r] += b1;
    }
  }
  if (to.act == activation::relu) {
    MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      low[r] = activate(activation::relu, low[r]);
      high[r] = activate(activation::relu, high[r]);
    }
  }
  if (to.gate) {
    MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      low[r] = load(to.gate + r * to.ldc) > vec<T>{} ? low[r] : vec<T>{};
      high[r] = load(to.gate + r * to.ldc + lanes<T>) > vec<T>{} ? high[r] : vec<T>{};
    }
  }
  MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
    store(c0 + r * to.ldc, low[r]);
    store(c1 + r * to.ldc, high[r]);
  }
}

template <class T, class W = T>
using tile_function = void (*)(const factors<T, W>&, const target<T>&);

template <class T, layout how, class W, std::size_t... r>
constexpr auto tile_table(std::index_sequence<r...>) {
  return std::array<tile_function<T, W>, sizeof...(r)>{&tile<T, r + 1, how, W>...};
}

/// The tile kernel for rows (1 .. tile_rows).
template <class T, layout how, class W = T>
tile_function<T, W> tile_for(std::size_t rows) {
  static constexpr auto table =
      tile_table<T, how, W>(std::make_index_sequence<static_cast<std::size_t>(tile_rows)>{});
  return table[rows - 1];
}

/// The products of one l with P panels that start `panel` elements apart, b's row at `b`.
template <class T, std::size_t R, std::size_t P, bool odd, class W>
[[gnu::always_inline]] inline void add_few(const T* a, std::ptrdiff_t stride, const W* b, std::size_t panel, vec<T> (&low)[P * R],
                                           vec<T> (&high)[P * R]) {
  constexpr std::size_t across = lanes<T> * rows_together<T, W>;
  MODX_UNROLL for (std::size_t p = 0; p < P; ++p) {
    vec<T> b0 = load_packed<T, odd>(b + p * panel), b1 = load_packed<T, odd>(b + p * panel + across);
    keep<T>(b0);
    keep<T>(b1);
    MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      const T x = a[static_cast<std::ptrdiff_t>(r) * stride];
      low[p * R + r] = multiply_add(x, b0, low[p * R + r]);
      high[p * R + r] = multiply_add(x, b1, high[p * R + r]);
    }
  }
}
/// R rows x P panels of tile_cols at a time, `panel` elements apart: few rows keep the units busy with more columns.  Each sum is
/// made in the order of the tile's.
template <class T, std::size_t R, std::size_t P, class W>
void few_rows(const factors<T, W>& f, std::size_t panel, T* sums) {
  constexpr std::size_t together = rows_together<T, W>;
  vec<T> low[P * R] = {}, high[P * R] = {};
  const W* b = f.b;
  std::size_t l = 0;
  for (; l + together <= f.k; l += together, b += together * tile_cols<T>) {
    add_few<T, R, P, false>(f.a + l, f.stride, b, panel, low, high);
    if constexpr (together == 2) add_few<T, R, P, true>(f.a + l + 1, f.stride, b, panel, low, high);
  }
  if constexpr (together == 2) {
    if (l < f.k) add_few<T, R, P, false>(f.a + l, f.stride, b, panel, low, high);
  }
  for (std::size_t i = 0; i < P * R; ++i) {
    store(sums + i * tile_cols<T>, low[i]);
    store(sums + i * tile_cols<T> + lanes<T>, high[i]);
  }
}
inline constexpr std::size_t most_few_rows = 3, few_panels = 4;

/// Calls f(first, rows) for the tiles that split m rows evenly.
template <class F>
void each_tile(std::size_t m, F f) {
  constexpr auto most = static_cast<std::size_t>(tile_rows);
  const std::size_t tiles = (m + most - 1) / most;
  for (std::size_t t = 0, first = 0; t < tiles; ++t) {
    const std::size_t rows = m / tiles + (t < m % tiles);
    f(first, rows);
    first += rows;
  }
}

}  // namespace modx::kernels::detail
