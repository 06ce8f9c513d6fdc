// y = act(x) and its slope d act / d x: one formula for float, double and vectors of float, on every backend.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

#if !defined(MODX_HD)
#if defined(__CUDACC__)
#define MODX_HD __host__ __device__
#else
#define MODX_HD
#endif
#endif

namespace modx {

/// The activation that a layer applies after its bias.
enum class activation : unsigned char { none, relu, gelu, silu, tanh };

namespace detail {

// V is float or a GNU vector of floats; double goes to the standard library below.
template <class V>
struct bits_of {
  using type [[gnu::vector_size(sizeof(V))]] = std::uint32_t;
  static V to_float(type n) { return __builtin_convertvector(__builtin_bit_cast(decltype(V{} < V{}), n), V); }
};
template <>
struct bits_of<float> {
  using type = std::uint32_t;
  MODX_HD static float to_float(type n) { return static_cast<float>(static_cast<std::int32_t>(n)); }
};

template <class V>
MODX_HD inline V clamp(V x, float low, float high) {  // NaN stays NaN
  const V a = V{} + low, b = V{} + high;
  x = x < a ? a : x;
  return x > b ? b : x;
}

/// e^x, relative error below 2e-7; 0 below -87, infinity above 88.37.
template <class V>
MODX_HD inline V fast_exp(V x) {
  using bits = typename bits_of<V>::type;
  const V zero = V{}, infinity = V{} + HUGE_VALF;
  const V c = clamp(x, -87.0f, 88.37f);
  // x = n ln 2 + r, |r| <= ln 2 / 2; adding 1.5 * 2^23 leaves the rounded n in the low bits
  const V shifted = c * 1.44269504f + 12582912.0f;
  const bits n = __builtin_bit_cast(bits, shifted) - 0x4b400000u;
  const V whole = bits_of<V>::to_float(n);
  const V r = (c - whole * 0.693145752f) - whole * 1.42860677e-6f;
  V p = r * 1.381316128e-3f + 8.369411051e-3f;
  p = p * r + 4.166845601e-2f;
  p = p * r + 1.666651486e-1f;
  p = p * r + 4.999999306e-1f;
  p = (p * r) * r + r + 1.0f;
  const V y = __builtin_bit_cast(V, __builtin_bit_cast(bits, p) + n * 0x800000u);
  const V low = x < (V{} + -87.0f) ? zero : y;
  return x > (V{} + 88.37f) ? infinity : low;
}

/// erf(x), error below 6e-7: x P(x^2) / Q(x^2) fitted on |x| <= 3.8.
template <class V>
MODX_HD inline V fast_erf(V x) {
  x = clamp(x, -3.8f, 3.8f);
  const V t = x * x;
  V p = t * 2.151039150e-6f + 2.865092506e-4f;
  p = p * t + 3.615073312e-3f;
  p = p * t + 5.231072248e-2f;
  p = p * t + 1.862495231e-1f;
  p = p * t + 1.128379154f;
  V q = t * 3.921355790e-5f + 1.135100939e-3f;
  q = q * t + 1.466726446e-2f;
  q = q * t + 1.124919331e-1f;
  q = q * t + 4.983922973e-1f;
  q = q * t + 1.0f;
  return clamp(x * p / q, -1.0f, 1.0f);
}

/// tanh(x), error below 6e-7: x P(x^2) / Q(x^2) fitted on |x| <= 9.
template <class V>
MODX_HD inline V fast_tanh(V x) {
  x = clamp(x, -9.0f, 9.0f);
  const V t = x * x;
  V p = t * 1.335463626e-8f + 2.060906313e-5f;
  p = p * t + 3.495586926e-3f;
  p = p * t + 1.338102462e-1f;
  p = p * t + 1.0f;
  V q = t * 7.776547681e-7f + 3.285632876e-4f;
  q = q * t + 2.587697761e-2f;
  q = q * t + 4.671434022e-1f;
  q = q * t + 1.0f;
  return clamp(x * p / q, -1.0f, 1.0f);
}

MODX_HD inline double fast_exp(double x) { return std::exp(x); }
MODX_HD inline double fast_erf(double x) { return std::erf(x); }
MODX_HD inline double fast_tanh(double x) { return std::tanh(x); }

template <class V>
using scalar_of = std::conditional_t<std::is_same_v<V, double>, double, float>;

}  // namespace detail

/// act(x); gelu is the exact x Phi(x); NaN stays NaN.
template <class V>
MODX_HD inline V activate(activation act, V x) {
  using T = detail::scalar_of<V>;
  switch (act) {
    case activation::relu:
      return x < V{} ? V{} : x;
    case activation::gelu:
      return x * (detail::fast_erf(x * T(0.70710678118654752440)) * T(0.5) + T(0.5));
    case activation::silu:
      return x / (detail::fast_exp(-x) + T(1));
    case activation::tanh:
      return detail::fast_tanh(x);
    case activation::none:
      break;
  }
  return x;
}

/// d act / d x at the pre-activation x (0 for relu at 0).
template <class V>
MODX_HD inline V activation_slope(activation act, V x) {
  using T = detail::scalar_of<V>;
  const V one = V{} + T(1);
  switch (act) {
    case activation::relu:
      return x > V{} ? one : V{};
    case activation::gelu:
      return detail::fast_erf(x * T(0.70710678118654752440)) * T(0.5) + T(0.5) +
             x * detail::fast_exp(x * x * T(-0.5)) * T(0.39894228040143267794);
    case activation::silu: {
      const V s = one / (detail::fast_exp(-x) + T(1));
      return s * (x * (one - s) + T(1));
    }
    case activation::tanh: {
      const V y = detail::fast_tanh(x);
      return one - y * y;
    }
    case activation::none:
      break;
  }
  return one;
}

}  // namespace modx
