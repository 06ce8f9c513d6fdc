// y = max over pool x pool windows, channels last: forward with the winners' places, backward to the winners.
#pragma once
#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "modx/backend/cpu/conv_shape.hpp"
#include "modx/backend/cpu/simd.hpp"
#include "modx/backend/cpu/thread_pool.hpp"

namespace modx::kernels {

namespace detail {

/// One output pixel: for each channel the largest of the window at x and, if argmax is set, its place in
/// row-major order; the first of equals wins, and NaN wins over everything.  fixed: the pool where it is
/// known, else 0.
template <std::size_t fixed, class T>
[[gnu::always_inline]] inline void pool_window(const T* x, std::size_t row_stride, std::size_t pixel_stride,
                                               std::size_t any_pool, std::size_t channels, T* y,
                                               unsigned char* argmax) {
  const std::size_t pool = fixed ? fixed : any_pool;
  using places = decltype(vec<T>{} < vec<T>{});
  using bytes [[gnu::vector_size(lanes<T>)]] = unsigned char;
  using lane = std::remove_reference_t<decltype(places{}[0])>;
  std::size_t c = 0;
  for (; c + lanes<T> <= channels; c += lanes<T>) {
    vec<T> best = load(x + c);
    places where = {};
    lane q = 0;
    for (std::size_t i = 0; i < pool; ++i) {
      for (std::size_t j = 0; j < pool; ++j, ++q) {
        const vec<T> v = load(x + i * row_stride + j * pixel_stride + c);
        const places better = (v > best) | (v != v);
        best = better ? v : best;
        where = better ? places{} + q : where;
      }
    }
    store(y + c, best);
    if (argmax) {
      const bytes b = __builtin_convertvector(where, bytes);
      __builtin_memcpy(argmax + c, &b, sizeof b);
    }
  }
  for (; c < channels; ++c) {
    T best = x[c];
    std::size_t where = 0;
    for (std::size_t q = 1; q < pool * pool; ++q) {
      const T v = x[q / pool * row_stride + q % pool * pixel_stride + c];
      if (v > best || v != v) {
        best = v;
        where = q;
      }
    }
    y[c] = best;
    if (argmax) argmax[c] = static_cast<unsigned char>(where);
  }
}

/// g = dy where the unit is alive (y > 0, or no y), sent to the winner of each window; the other places get
/// 0. For one output pixel and up to tile_cols<T> channels; window rows of g are row_stride, pixels
/// tile_cols<T> apart. Adds g to total.  fixed: the pool where it is known, else 0.
template <std::size_t fixed, class T>
[[gnu::always_inline]] inline void unpool_window(const T* dy, const T* y, const unsigned char* argmax,
                                                 std::size_t channels, std::size_t any_pool, T* g,
                                                 std::size_t row_stride, vec<T> (&total)[2]) {
  const std::size_t pool = fixed ? fixed : any_pool;
  using places = decltype(vec<T>{} < vec<T>{});
  using bytes [[gnu::vector_size(lanes<T>)]] = unsigned char;
  using lane = std::remove_reference_t<decltype(places{}[0])>;
  T dy_edge[tile_cols<T>] = {}, y_edge[tile_cols<T>] = {};
  unsigned char argmax_edge[tile_cols<T>] = {};
  if (channels < tile_cols<T>) {
    std::copy_n(dy, channels, dy_edge);
    dy = dy_edge;
    if (y) y = std::copy_n(y, channels, y_edge) - channels;
    if (argmax) argmax = std::copy_n(argmax, channels, argmax_edge) - channels;
  }
  for (std::size_t v = 0; v < 2; ++v) {
    vec<T> value = load(dy + v * lanes<T>);
    if (y) value = load(y + v * lanes<T>) > vec<T>{} ? value : vec<T>{};
    total[v] += value;
    if (pool == 1) {
      store(g + v * lanes<T>, value);
      continue;
    }
    bytes b;
    __builtin_memcpy(&b, argmax + v * lanes<T>, sizeof b);
    const places where = __builtin_convertvector(b, places);
    lane q = 0;
    for (std::size_t i = 0; i < pool; ++i) {
      for (std::size_t j = 0; j < pool; ++j, ++q) {
        store(g + i * row_stride + j * tile_cols<T> + v * lanes<T>, where == places{} + q ? value : vec<T>{});
      }
    }
  }
}

/// Calls f with the pool as a constant where it is common: integral_constant 1, 2, or 0 for any other.
template <class F>
void with_pool(std::size_t pool, F f) {
  if (pool == 1) return f(std::integral_constant<std::size_t, 1>{});
  if (pool == 2) return f(std::integral_constant<std::size_t, 2>{});
  f(std::integral_constant<std::size_t, 0>{});
}

}  // namespace detail

/// y = the largest of each pool x pool window of x (n x h x w x cin); argmax (may be null): its place,
/// row-major.
template <class T>
void max_pool_forward(thread_pool& pool, const conv_shape& s, const T* x, T* y, unsigned char* argmax) {
  const auto e = detail::extents("max_pool", {s.n, s.h, s.w, s.cin, s.cin, 1, 0, s.pool});
  pool.run(s.n * e.h_out, [&](std::size_t row) {
    const std::size_t n = row / e.h_out, i = row % e.h_out;
    detail::with_pool(s.pool, [&](auto fixed) {
      for (std::size_t j = 0; j < e.w_out; ++j) {
        const std::size_t to = (row * e.w_out + j) * s.cin;
        detail::pool_window<fixed()>(x + ((n * s.h + i * s.pool) * s.w + j * s.pool) * s.cin, s.w * s.cin,
                                     s.cin, s.pool, s.cin, y + to, argmax ? argmax + to : nullptr);
      }
    });
  });
}

/// dx = beta dx + dy sent to the winners of max_pool_forward; beta 0 never reads dx.
template <class T>
void max_pool_backward(thread_pool& pool, const conv_shape& s, const T* dy, const unsigned char* argmax,
                       T* dx, T beta) {
  const auto e = detail::extents("max_pool", {s.n, s.h, s.w, s.cin, s.cin, 1, 0, s.pool});
  if (!argmax && s.pool > 1 && s.n * e.h_out * e.w_out * s.cin > 0) {
    throw error("max_pool_backward", "argmax when pool > 1", "null");
  }
  pool.run(s.n, [&](std::size_t n) {
    T* sample = dx + n * s.h * s.w * s.cin;
    for (std::size_t i = 0; i < s.h * s.w * s.cin; ++i) sample[i] = beta == T(0) ? T(0) : beta * sample[i];
    for (std::size_t i = 0; i < e.h_out; ++i) {
      for (std::size_t j = 0; j < e.w_out; ++j) {
        const std::size_t from = ((n * e.h_out + i) * e.w_out + j) * s.cin;
        for (std::size_t c = 0; c < s.cin; ++c) {
          const std::size_t q = argmax ? argmax[from + c] : 0;
          sample[((i * s.pool + q / s.pool) * s.w + j * s.pool + q % s.pool) * s.cin + c] += dy[from + c];
        }
      }
    }
  });
}

}  // namespace modx::kernels
