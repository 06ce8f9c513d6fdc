// Elementwise functions, written once for every backend: value and derivative.
#pragma once
#include <cmath>
#include <cstdint>
#include <modx/backend/activation.hpp>
#include <modx/backend/math.hpp>

#ifdef __CUDACC__
#define MODX_HD __host__ __device__
#else
#define MODX_HD
#endif

namespace modx::fn {

/// y = a x + b.
template <class T>
struct affine {
  T a, b;
  MODX_HD T operator()(T x) const { return a * x + b; }
  MODX_HD T derivative(T, T) const { return a; }
};
struct exponential {
  template <class T>
  MODX_HD T operator()(T x) const { return fast_exp(x); }
  template <class T>
  MODX_HD T derivative(T, T y) const { return y; }
};
struct logarithm {
  template <class T>
  MODX_HD T operator()(T x) const { return std::log(x); }
  template <class T>
  MODX_HD T derivative(T x, T) const { return T(1) / x; }
};
struct square {
  template <class T>
  MODX_HD T operator()(T x) const { return x * x; }
  template <class T>
  MODX_HD T derivative(T x, T) const { return T(2) * x; }
};
struct square_root {
  template <class T>
  MODX_HD T operator()(T x) const { return std::sqrt(x); }
  template <class T>
  MODX_HD T derivative(T, T y) const { return T(0.5) / y; }
};
struct sigmoid {
  template <class T>
  MODX_HD T operator()(T x) const { return T(1) / (T(1) + fast_exp(-x)); }
  template <class T>
  MODX_HD T derivative(T, T y) const { return y * (T(1) - y); }
};
/// log(1 + e^x), without overflow.
struct softplus {
  template <class T>
  MODX_HD T operator()(T x) const { return (x > T(0) ? x : T(0)) + std::log1p(fast_exp(x > T(0) ? -x : x)); }
  template <class T>
  MODX_HD T derivative(T x, T) const { return T(1) / (T(1) + fast_exp(-x)); }
};
/// One of the activations of backend/activation.hpp.
struct activated {
  activation act;
  template <class T>
  MODX_HD T operator()(T x) const { return activate(act, x); }
  template <class T>
  MODX_HD T derivative(T x, T) const { return activation_slope(act, x); }
};

/// A number as an id: -1 for what is no integer from 0 to 2^31 - 1.
template <class T>
MODX_HD std::int32_t as_id(T x) {
  return x >= T(0) && x < T(2147483648.0) && T(static_cast<std::int32_t>(x)) == x ? static_cast<std::int32_t>(x) : -1;
}

struct add {
  template <class T>
  MODX_HD T operator()(T a, T b) const { return a + b; }
  template <class T>
  MODX_HD T derivative(int, T, T) const { return T(1); }
};
struct subtract {
  template <class T>
  MODX_HD T operator()(T a, T b) const { return a - b; }
  template <class T>
  MODX_HD T derivative(int side, T, T) const { return side == 0 ? T(1) : T(-1); }
};
struct multiply {
  template <class T>
  MODX_HD T operator()(T a, T b) const { return a * b; }
  template <class T>
  MODX_HD T derivative(int side, T a, T b) const { return side == 0 ? b : a; }
};
struct divide {
  template <class T>
  MODX_HD T operator()(T a, T b) const { return a / b; }
  template <class T>
  MODX_HD T derivative(int side, T a, T b) const { return side == 0 ? T(1) / b : -a / (b * b); }
};

}  // namespace modx::fn

// The closed list that each backend instantiates: X(T, functor).
#define MODX_FOR_EACH_UNARY(X, T)                                                    \
  X(T, fn::affine<T>) X(T, fn::exponential) X(T, fn::logarithm) X(T, fn::square)     \
  X(T, fn::square_root) X(T, fn::sigmoid) X(T, fn::softplus) X(T, fn::activated)
#define MODX_FOR_EACH_BINARY(X, T) X(T, fn::add) X(T, fn::subtract) X(T, fn::multiply) X(T, fn::divide)
