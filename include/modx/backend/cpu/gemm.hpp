// c = act(beta c + a b + bias): products over weights packed in panels, many at once.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

#include "modx/backend/activation.hpp"
#include "modx/backend/cpu/thread_pool.hpp"
#include "modx/error.hpp"

namespace modx::kernels {

using modx::activate;
using modx::activation;
using modx::activation_slope;

/// A matrix somewhere: element (i, j) = data[i * row_stride + j * col_stride]; one of the strides is 1.
template <class T>
struct view {
  const T* data = nullptr;
  std::ptrdiff_t row_stride = 0, col_stride = 1;
};

/// c (m x n, leading dimension ldc) = act(beta c + a (m x k) b (k x n) + bias (n)); beta 0 never reads c.
template <class T>
struct product {
  std::size_t m = 0, n = 0, k = 0;
  view<T> a;
  const T* packed_b = nullptr;
  T beta = T(0);
  T* c = nullptr;
  std::size_t ldc = 0;
  const T* bias = nullptr;
  activation act = activation::none;
  T* pre = nullptr;  ///< if set, the value before the activation is stored here too (leading dimension ldc)
};

template <class T>
inline constexpr std::size_t panel_width = 64 / sizeof(T);

/// Elements that pack() writes for a k x n matrix.
template <class T>
std::size_t packed_size(std::size_t k, std::size_t n) {
  return (n + panel_width<T> - 1) / panel_width<T> * k * panel_width<T>;
}

/// Copies b (k x n) into panels [ceil(n / width)][k][width], padded with zeros; out is 64-byte aligned.
template <class T>
void pack(thread_pool& pool, std::size_t k, std::size_t n, view<T> b, T* out) {
  constexpr std::size_t width = panel_width<T>;
  pool.run((n + width - 1) / width, [&](std::size_t panel) {
    T* to = out + panel * k * width;
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < width; ++j) {
        const std::size_t column = panel * width + j;
        to[i * width + j] = column < n ? b.data[static_cast<std::ptrdiff_t>(i) * b.row_stride +
                                                static_cast<std::ptrdiff_t>(column) * b.col_stride]
                                       : T(0);
      }
    }
  });
}

/// Computes all products at once; the result does not depend on the number of threads.
template <class T>
void multiply(thread_pool& pool, std::span<const product<T>> products) {
  constexpr std::size_t width = panel_width<T>;
  for (const product<T>& p : products) {
    pool.run(p.m, [&](std::size_t i) {
      for (std::size_t j = 0; j < p.n; ++j) {
        T sum = 0;
        for (std::size_t l = 0; l < p.k; ++l) {
          sum += p.a.data[static_cast<std::ptrdiff_t>(i) * p.a.row_stride +
                          static_cast<std::ptrdiff_t>(l) * p.a.col_stride] *
                 p.packed_b[(j / width * p.k + l) * width + j % width];
        }
        T& c = p.c[i * p.ldc + j];
        if (p.beta != T(0)) sum += p.beta * c;
        if (p.bias) sum += p.bias[j];
        if (p.pre) p.pre[i * p.ldc + j] = sum;
        c = activate(p.act, sum);
      }
    });
  }
}

}  // namespace modx::kernels
