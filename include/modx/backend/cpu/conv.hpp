// y = pool(relu(x * w + bias)): 2-d convolution and max-pooling, channels last, forward and backward.
#pragma once
#include <algorithm>
#include <cstddef>
#include <string>

#include "modx/backend/cpu/gemm.hpp"
#include "modx/backend/cpu/thread_pool.hpp"
#include "modx/error.hpp"

namespace modx::kernels {

/// x: n x h x w x cin, weights: (kernel * kernel * cin) x cout, stride 1; y: n x ho / pool x wo / pool x cout.
struct conv_shape {
  std::size_t n = 0, h = 0, w = 0, cin = 0, cout = 0, kernel = 1, pad = 0, pool = 1;
};

namespace detail {

struct conv_extent {
  std::size_t ho, wo, hp, wp;  // of the convolution, of the pooled output
};

inline conv_extent extent(const conv_shape& s, std::size_t kernel, std::size_t pad) {
  const auto check = [](bool ok, const char* expected, std::size_t found) {
    if (!ok) throw error("conv2d", expected, std::to_string(found));
  };
  check(kernel >= 1, "kernel >= 1", kernel);
  check(s.pool >= 1 && s.pool <= 16, "pool in 1..16", s.pool);
  check(s.h + 2 * pad >= kernel && s.w + 2 * pad >= kernel, "kernel <= h + 2 pad and w + 2 pad", kernel);
  const std::size_t ho = s.h + 2 * pad + 1 - kernel, wo = s.w + 2 * pad + 1 - kernel;
  return {ho, wo, ho / s.pool, wo / s.pool};
}

}  // namespace detail

/// Elements of workspace that the convolution needs, the same for any number of threads.
template <class T>
std::size_t conv_workspace(const conv_shape& s, bool backward) {
  const auto e = detail::extent(s, s.kernel, s.pad);
  return s.n * e.ho * e.wo * s.cout + (backward ? 16 : 0);
}

/// y = pool(relu?(x * w + bias)); argmax: the winner's place in its window, row-major (null when pool is 1).
template <class T>
void conv2d_forward(thread_pool& pool, const conv_shape& s, const T* x, const T* w, const T* bias, bool relu, T* y,
                    unsigned char* argmax, T* /*workspace*/) {
  const auto e = detail::extent(s, s.kernel, s.pad);
  if (s.pool > 1 && !argmax) throw error("conv2d_forward", "argmax when pool > 1", "null");
  const auto at = [&](std::size_t n, std::size_t i, std::size_t j, std::size_t co) {
    T sum = 0;
    for (std::size_t dy = 0; dy < s.kernel; ++dy) {
      for (std::size_t dx = 0; dx < s.kernel; ++dx) {
        if (i + dy < s.pad || j + dx < s.pad || i + dy >= s.h + s.pad || j + dx >= s.w + s.pad) continue;
        const T* px = x + ((n * s.h + i + dy - s.pad) * s.w + j + dx - s.pad) * s.cin;
        for (std::size_t ci = 0; ci < s.cin; ++ci) {
          sum += px[ci] * w[((dy * s.kernel + dx) * s.cin + ci) * s.cout + co];
        }
      }
    }
    if (bias) sum += bias[co];
    return relu ? activate(activation::relu, sum) : sum;
  };
  pool.run(s.n * e.hp, [&](std::size_t row) {
    for (std::size_t j = 0; j < e.wp; ++j) {
      for (std::size_t co = 0; co < s.cout; ++co) {
        T best = 0;
        std::size_t where = 0;
        for (std::size_t q = 0; q < s.pool * s.pool; ++q) {
          const T v = at(row / e.hp, row % e.hp * s.pool + q / s.pool, j * s.pool + q % s.pool, co);
          if (q == 0 || v > best || v != v) {
            best = v;
            where = q;
          }
        }
        y[(row * e.wp + j) * s.cout + co] = best;
        if (argmax) argmax[(row * e.wp + j) * s.cout + co] = static_cast<unsigned char>(where);
      }
    }
  });
}

/// dx = beta_dx dx + ..., dw += ..., dbias += ... from dy at the pooled output y; each may be null.
template <class T>
void conv2d_backward(thread_pool&, const conv_shape& s, const T* x, const T* w, bool relu, const T* y,
                     const unsigned char* argmax, const T* dy, T* dx, T beta_dx, T* dw, T* dbias, T* /*workspace*/) {
  const auto e = detail::extent(s, s.kernel, s.pad);
  if (s.pool > 1 && !argmax) throw error("conv2d_backward", "argmax when pool > 1", "null");
  if (dx) {
    for (std::size_t i = 0; i < s.n * s.h * s.w * s.cin; ++i) dx[i] = beta_dx == T(0) ? T(0) : beta_dx * dx[i];
  }
  for (std::size_t o = 0; o < s.n * e.hp * e.wp * s.cout; ++o) {
    const T g = relu && !(y[o] > T(0)) ? T(0) : dy[o];
    const std::size_t co = o % s.cout, q = argmax ? argmax[o] : 0;
    const std::size_t j = o / s.cout % e.wp * s.pool + q % s.pool;
    const std::size_t i = o / s.cout / e.wp % e.hp * s.pool + q / s.pool, n = o / s.cout / e.wp / e.hp;
    if (dbias) dbias[co] += g;
    for (std::size_t ty = 0; ty < s.kernel; ++ty) {
      for (std::size_t tx = 0; tx < s.kernel; ++tx) {
        if (i + ty < s.pad || j + tx < s.pad || i + ty >= s.h + s.pad || j + tx >= s.w + s.pad) continue;
        const std::size_t at = ((n * s.h + i + ty - s.pad) * s.w + j + tx - s.pad) * s.cin;
        for (std::size_t ci = 0; ci < s.cin; ++ci) {
          const std::size_t weight = ((ty * s.kernel + tx) * s.cin + ci) * s.cout + co;
          if (dw) dw[weight] += g * x[at + ci];
          if (dx) dx[at + ci] += g * w[weight];
        }
      }
    }
  }
}

/// y = the largest of each pool x pool window of x (n x h x w x cin); argmax as in conv2d_forward.
template <class T>
void max_pool_forward(thread_pool& pool, const conv_shape& s, const T* x, T* y, unsigned char* argmax) {
  const auto e = detail::extent(s, 1, 0);
  pool.run(s.n * e.hp, [&](std::size_t row) {
    for (std::size_t j = 0; j < e.wp; ++j) {
      for (std::size_t c = 0; c < s.cin; ++c) {
        T best = 0;
        std::size_t where = 0;
        for (std::size_t q = 0; q < s.pool * s.pool; ++q) {
          const std::size_t i = row / e.hp * s.h + row % e.hp * s.pool + q / s.pool;
          const T v = x[(i * s.w + j * s.pool + q % s.pool) * s.cin + c];
          if (q == 0 || v > best || v != v) {
            best = v;
            where = q;
          }
        }
        y[(row * e.wp + j) * s.cin + c] = best;
        if (argmax) argmax[(row * e.wp + j) * s.cin + c] = static_cast<unsigned char>(where);
      }
    }
  });
}

/// dx = beta dx + dy sent to the winners of max_pool_forward.
template <class T>
void max_pool_backward(thread_pool&, const conv_shape& s, const T* dy, const unsigned char* argmax, T* dx, T beta) {
  const auto e = detail::extent(s, 1, 0);
  for (std::size_t i = 0; i < s.n * s.h * s.w * s.cin; ++i) dx[i] = beta == T(0) ? T(0) : beta * dx[i];
  for (std::size_t o = 0; o < s.n * e.hp * e.wp * s.cin; ++o) {
    const std::size_t q = argmax ? argmax[o] : 0, row = o / s.cin / e.wp;
    const std::size_t i = row / e.hp * s.h + row % e.hp * s.pool + q / s.pool;
    dx[(i * s.w + o / s.cin % e.wp * s.pool + q % s.pool) * s.cin + o % s.cin] += dy[o];
  }
}

}  // namespace modx::kernels
