// y = act(x) and dx = dy act'(x) over a row, vectorised for float.
#pragma once
#include <cstddef>
#include <type_traits>

#include "modx/backend/activation.hpp"
#include "modx/backend/cpu/simd.hpp"

namespace modx::kernels {

using modx::activate;
using modx::activation;
using modx::activation_slope;

namespace detail {

/// f on every vector of n elements of x and y (z = f(x, y)), the last one padded with zeros.
template <class F>
void each_vector(std::size_t n, const float* x, const float* y, float* z, F f) {
  constexpr std::size_t width = lanes<float>;
  std::size_t i = 0;
  for (; i + width <= n; i += width) store(z + i, f(load(x + i), load(y + i)));
  if (const std::size_t rest = (n - i) % width) {
    float tail_x[width] = {}, tail_y[width] = {};
    __builtin_memcpy(tail_x, x + i, rest * sizeof(float));
    __builtin_memcpy(tail_y, y + i, rest * sizeof(float));
    store(tail_x, f(load(tail_x), load(tail_y)));
    __builtin_memcpy(z + i, tail_x, rest * sizeof(float));
  }
}

/// Calls f with the activation as a compile-time constant, so that loops inside have no switch.
template <class F>
void with_activation(activation act, F f) {
  switch (act) {
    case activation::none:
      return f(std::integral_constant<activation, activation::none>{});
    case activation::relu:
      return f(std::integral_constant<activation, activation::relu>{});
    case activation::gelu:
      return f(std::integral_constant<activation, activation::gelu>{});
    case activation::silu:
      return f(std::integral_constant<activation, activation::silu>{});
    case activation::tanh:
      return f(std::integral_constant<activation, activation::tanh>{});
  }
}

}  // namespace detail

/// y[i] = act(x[i]) for n elements; y may be x.
template <class T>
void activate_row(activation act, std::size_t n, const T* x, T* y) {
  detail::with_activation(act, [=](auto kind) {
    if constexpr (std::is_same_v<T, float>) {
      detail::each_vector(n, x, x, y, [kind](const auto& v, const auto&) { return activate(kind(), v); });
    } else {
      for (std::size_t i = 0; i < n; ++i) y[i] = activate(kind(), x[i]);
    }
  });
}

/// dx[i] = dy[i] act'(pre[i]) for n elements; dx may be dy.
template <class T>
void activate_row_backward(activation act, std::size_t n, const T* pre, const T* dy, T* dx) {
  detail::with_activation(act, [=](auto kind) {
    if constexpr (std::is_same_v<T, float>) {
      detail::each_vector(n, pre, dy, dx,
                          [kind](const auto& v, const auto& g) { return g * activation_slope(kind(), v); });
    } else {
      for (std::size_t i = 0; i < n; ++i) dx[i] = dy[i] * activation_slope(kind(), pre[i]);
    }
  });
}

}  // namespace modx::kernels
