// One register tile, c (rows x cols) = act(beta c + sum over k of a b + bias), written once for every vector width.
#pragma once
#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "modx/backend/cpu/activate.hpp"
#include "modx/backend/cpu/simd.hpp"

namespace modx::kernels::detail {

/// What a tile sums: for each group g, segment s and l < k, a(row, l) b(l, col), with
/// a(row, l) = a[g * a_group + s * a_step + ...] at row * stride + l, l * stride + row or rows[row] + l by layout,
/// b(l, col) = b[(g * segments + s) * b_step + l * ldb + col]; all columns of the tile must be readable.
template <class T>
struct factors {
  const T* a;
  std::ptrdiff_t stride;
  const T* b;
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
};

template <std::size_t... i, class F>
[[gnu::always_inline]] inline void unrolled(std::index_sequence<i...>, F f) {
  (f(std::integral_constant<std::size_t, i>{}), ...);
}

template <class T, std::size_t R, std::size_t V, layout how>
[[gnu::always_inline]] inline void sum(const factors<T>& f, vec<T> (&acc)[R][V]) {
  constexpr std::make_index_sequence<R> rows{};
  constexpr std::make_index_sequence<V> vectors{};
  const T* next_b = f.b;
  [[maybe_unused]] const std::ptrdiff_t* const offsets = f.rows;
  for (std::size_t s = 0, g = 0; g < f.groups; s + 1 < f.segments ? ++s : (s = 0, ++g)) {
    const T* a = f.a + static_cast<std::ptrdiff_t>(g) * f.a_group + static_cast<std::ptrdiff_t>(s) * f.a_step;
    const T* b = next_b;
    next_b += f.b_step;
    [[maybe_unused]] const T* row[R];
    if constexpr (how == layout::scattered) {
      unrolled(rows, [&](auto r) __attribute__((always_inline)) { row[r] = a + offsets[r]; });
    }
    for (std::size_t l = 0; l < f.k; ++l) {
      vec<T> column[V];
      unrolled(vectors, [&](auto v) __attribute__((always_inline)) {
        column[v] = load(b + v * lanes<T>);
        keep<T>(column[v]);
      });
      unrolled(rows, [&](auto r) __attribute__((always_inline)) {
        T x;
        if constexpr (how == layout::along) x = a[static_cast<std::ptrdiff_t>(r) * f.stride];
        if constexpr (how == layout::across) x = a[r];
        if constexpr (how == layout::scattered) x = row[r][l];
        unrolled(vectors, [&](auto v) __attribute__((always_inline)) { acc[r][v] = multiply_add(x, column[v], acc[r][v]); });
      });
      a += how == layout::across ? f.stride : 1;
      b += f.ldb;
    }
  }
}

/// The general ending: rows x width sums, of which to.cols columns count, with every option of the target.
template <class T>
[[gnu::noinline]] void finish(std::size_t rows, std::size_t width, T* sums, const target<T>& to) {
  for (std::size_t r = 0; r < rows; ++r) {
    T* x = sums + r * width;
    T* c = to.c + r * to.ldc;
    if (to.beta != T(0)) {
      for (std::size_t j = 0; j < to.cols; ++j) x[j] += to.beta * c[j];
    }
    if (to.bias) {
      for (std::size_t j = 0; j < to.cols; ++j) x[j] += to.bias[j];
    }
    if (to.pre) {
      for (std::size_t j = 0; j < to.cols; ++j) to.pre[r * to.ldc + j] = x[j];
    }
    if (to.act != activation::none) activate_row(to.act, width, x, x);
    for (std::size_t j = 0; j < to.cols; ++j) c[j] = x[j];
  }
}

/// The whole tile of R rows x V vectors; the common endings stay in registers.
template <class T, std::size_t R, std::size_t V, layout how>
void tile(const factors<T>& f, const target<T>& to) {
  constexpr std::size_t width = V * lanes<T>;
  constexpr std::make_index_sequence<R> rows{};
  constexpr std::make_index_sequence<V> vectors{};
  vec<T> acc[R][V] = {};
  sum<T, R, V, how>(f, acc);
  const auto each = [&](auto act) __attribute__((always_inline)) {
    unrolled(rows, [&](auto r) __attribute__((always_inline)) {
      unrolled(vectors, [&](auto v) __attribute__((always_inline)) { act(r, v, acc[r][v]); });
    });
  };
  if (to.cols < width || to.pre || to.act > activation::relu) {
    alignas(vector_bytes) T sums[R * width];
    each([&](auto r, auto v, const vec<T>& x) __attribute__((always_inline)) {
      store(sums + r * width + v * lanes<T>, x);
    });
    return finish(R, width, sums, to);
  }
  if (to.beta != T(0)) {
    each([&](auto r, auto v, vec<T>& x) __attribute__((always_inline)) {
      x += to.beta * load(to.c + r * to.ldc + v * lanes<T>);
    });
  }
  if (to.bias) {
    each([&](auto, auto v, vec<T>& x) __attribute__((always_inline)) { x += load(to.bias + v * lanes<T>); });
  }
  if (to.act == activation::relu) {
    each([&](auto, auto, vec<T>& x) __attribute__((always_inline)) { x = activate(activation::relu, x); });
  }
  each([&](auto r, auto v, const vec<T>& x) __attribute__((always_inline)) {
    store(to.c + r * to.ldc + v * lanes<T>, x);
  });
}

template <class T>
using tile_function = void (*)(const factors<T>&, const target<T>&);

template <class T, layout how, std::size_t... r>
constexpr auto tile_table(std::index_sequence<r...>) {
  return std::array<std::array<tile_function<T>, 2>, sizeof...(r)>{
      {{&tile<T, r + 1, 1, how>, &tile<T, r + 1, 2, how>}...}};
}

/// The tile kernel for rows (1 .. tile_rows) and cols (1 .. tile_cols<T>).
template <class T, layout how>
tile_function<T> tile_for(std::size_t rows, std::size_t cols) {
  static constexpr auto table = tile_table<T, how>(std::make_index_sequence<static_cast<std::size_t>(tile_rows)>{});
  return table[rows - 1][cols > lanes<T>];
}

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
