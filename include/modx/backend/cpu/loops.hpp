// Loops over fixed chunks: who runs a chunk depends on the threads, what is in it never does.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <modx/backend/cpu/simd.hpp>
#include <modx/backend/cpu/thread_pool.hpp>
#include <modx/error.hpp>

namespace modx::kernels {

/// f(begin, end) for consecutive chunks of `grain` of [0, n).
template <class F>
void for_chunks(thread_pool& pool, std::size_t n, std::size_t grain, F&& f) {
  const std::size_t chunks = (n + grain - 1) / grain;
  if (chunks <= 1) {
    if (n) {
      const flush_denormals mode;
      f(std::size_t(0), n);
    }
    return;
  }
  pool.run(chunks, [&](std::size_t c) { f(c * grain, std::min(n, (c + 1) * grain)); });
}

/// Rows per chunk for rows of width d: about 16 k elements.
inline std::size_t row_grain(std::size_t d) { return std::max<std::size_t>(1, 16384 / std::max<std::size_t>(d, 1)); }
inline constexpr std::size_t element_grain = 32768;

/// Sum of f(i) over [0, n): value i goes to lane i mod 16, the lanes are added in a fixed tree.  Vectorises without
/// reassociating, and zeros at the end of a row change no bit.
template <class T, class F>
T lane_sum(std::size_t n, F&& f) {
  constexpr std::size_t lanes = 16;
  T lane[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::size_t l = 0; l < lanes; ++l) lane[l] += f(i + l);
  for (std::size_t l = 0; i < n; ++i, ++l) lane[l] += f(i);
  for (std::size_t step = lanes / 2; step > 0; step /= 2)
    for (std::size_t l = 0; l < step; ++l) lane[l] += lane[l + step];
  return lane[0];
}

/// lane_sum of a[i] b[i]; written in vectors, as GCC shuffles the lanes of two arrays in memory.
template <class T>
T dot(const T* a, const T* b, std::size_t d) {
  constexpr std::size_t count = 16, width = lanes<T>, vectors = count / width;
  vec<T> sum[vectors] = {};
  std::size_t i = 0;
  for (; i + count <= d; i += count)
    for (std::size_t v = 0; v < vectors; ++v) sum[v] += load(a + i + v * width) * load(b + i + v * width);
  T lane[count];
  for (std::size_t v = 0; v < vectors; ++v) store(lane + v * width, sum[v]);
  for (std::size_t l = 0; i < d; ++i, ++l) lane[l] += a[i] * b[i];
  for (std::size_t step = count / 2; step > 0; step /= 2)
    for (std::size_t l = 0; l < step; ++l) lane[l] += lane[l + step];
  return lane[0];
}

/// y = beta y + x, where beta 0 never reads y.
template <class T>
inline void blend(T beta, T x, T& y) {
  y = beta == T(0) ? x : beta * y + x;
}

/// y = beta y, where beta 0 never reads y.
template <class T>
inline void scale(T beta, std::size_t n, T* y) {
  if (beta == T(0)) std::fill(y, y + n, T(0));
  if (beta != T(0) && beta != T(1))
    for (std::size_t i = 0; i < n; ++i) y[i] *= beta;
}

/// Throws unless 0 <= id < e.
inline void check_id(const char* where, std::size_t token, std::int32_t id, std::size_t e) {
  if (id < 0 || std::size_t(id) >= e)
    throw error(std::string(where) + ", id of token " + std::to_string(token), "0 <= id < " + std::to_string(e),
                std::to_string(id));
}

}  // namespace modx::kernels
