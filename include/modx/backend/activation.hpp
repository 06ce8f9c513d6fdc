// y = act(x) for one scalar and its slope d act / d x, shared by every backend.
#pragma once
#include <cmath>

namespace modx {

/// The activation that a layer applies after its bias.
enum class activation : unsigned char { none, relu, gelu, silu, tanh };

/// act(x); gelu is the exact x Phi(x); a relu of NaN stays NaN.
template <class T>
T activate(activation act, T x) {
  switch (act) {
    case activation::relu: return x < T(0) ? T(0) : x;
    case activation::gelu: return T(0.5) * x * (T(1) + std::erf(x * T(0.70710678118654752440)));
    case activation::silu: return x / (T(1) + std::exp(-x));
    case activation::tanh: return std::tanh(x);
    case activation::none: break;
  }
  return x;
}

/// d act / d x at the pre-activation x (0 for relu at 0).
template <class T>
T activation_slope(activation act, T x) {
  switch (act) {
    case activation::relu: return x > T(0) ? T(1) : T(0);
    case activation::gelu:
      return T(0.5) * (T(1) + std::erf(x * T(0.70710678118654752440))) +
             x * T(0.39894228040143267794) * std::exp(T(-0.5) * x * x);
    case activation::silu: {
      const T s = T(1) / (T(1) + std::exp(-x));
      return s * (T(1) + x * (T(1) - s));
    }
    case activation::tanh: {
      const T y = std::tanh(x);
      return T(1) - y * y;
    }
    case activation::none: break;
  }
  return T(1);
}

}  // namespace modx
