// Elementwise operations on tensors of equal shape, and with scalars.
#pragma once
#include <modx/backend/functor.hpp>
#include <modx/parameter.hpp>

namespace modx {
namespace ops {

namespace detail {
template <class B>
void expect_same_shape(const char* op, var<B> a, var<B> b) {
  if (a.rows() != b.rows() || a.cols() != b.cols())
    throw error(op, std::to_string(a.rows()) + " x " + std::to_string(a.cols()),
                std::to_string(b.rows()) + " x " + std::to_string(b.cols()));
}

/// y = f(x).
template <class F, class B>
var<B> unary(F f, var<B> x) {
  typename B::scalar* out = nullptr;
  auto y = x.on().result(x.rows(), x.columns(), x.needs_gradient(), out);
  x.backend().map(f, x.size(), x.data(), out);
  x.on().record(y, [=](const auto* dy) {
    auto g = x.accumulate();
    x.backend().map_gradient(f, x.size(), x.data(), y.data(), dy, g.beta, g.data);
  });
  return y;
}

/// y = f(a, b).
template <class F, class B>
var<B> binary(const char* name, F f, var<B> a, var<B> b) {
  expect_same_shape(name, a, b);
  typename B::scalar* out = nullptr;
  auto y = a.on().result(a.rows(), a.columns(), a.needs_gradient() || b.needs_gradient(), out);
  a.backend().zip(f, a.size(), a.data(), b.data(), out);
  a.on().record(y, [=](const auto* dy) {
    for (int side = 0; side < 2; ++side) {
      const var<B>& x = side == 0 ? a : b;
      if (!x.needs_gradient()) continue;
      auto g = x.accumulate();
      x.backend().zip_gradient(f, side, x.size(), a.data(), b.data(), dy, g.beta, g.data);
    }
  });
  return y;
}
}  // namespace detail

template <class B>
var<B> add(var<B> a, var<B> b) {
  detail::expect_same_shape("add", a, b);
  typename B::scalar* out = nullptr;
  auto y = a.on().result(a.rows(), a.columns(), a.needs_gradient() || b.needs_gradient(), out);
  a.backend().zip(fn::add{}, a.size(), a.data(), b.data(), out);
  a.on().record(y, [=](const auto* dy) {
    if (b.needs_gradient() && a.needs_gradient()) {
      const auto g = b.accumulate();
      b.backend().axpy(b.size(), 1, dy, g.beta, g.data);
    }
    (a.needs_gradient() ? a : b).take_gradient(y);
  });
  return y;
}
template <class B> var<B> subtract(var<B> a, var<B> b) { return detail::binary("subtract", fn::subtract{}, a, b); }
template <class B> var<B> multiply(var<B> a, var<B> b) { return detail::binary("multiply", fn::multiply{}, a, b); }
template <class B> var<B> divide(var<B> a, var<B> b) { return detail::binary("divide", fn::divide{}, a, b); }

/// y = a x + b.
template <class B>
var<B> affine(var<B> x, double a, double b) {
  using T = typename B::scalar;
  return detail::unary(fn::affine<T>{T(a), T(b)}, x);
}
template <class B> var<B> scale(var<B> x, double a) { return affine(x, a, 0); }
template <class B> var<B> exp(var<B> x) { return detail::unary(fn::exponential{}, x); }
template <class B> var<B> log(var<B> x) { return detail::unary(fn::logarithm{}, x); }
template <class B> var<B> square(var<B> x) { return detail::unary(fn::square{}, x); }
template <class B> var<B> sqrt(var<B> x) { return detail::unary(fn::square_root{}, x); }
template <class B> var<B> sigmoid(var<B> x) { return detail::unary(fn::sigmoid{}, x); }
template <class B> var<B> softplus(var<B> x) { return detail::unary(fn::softplus{}, x); }
template <class B> var<B> activate(var<B> x, activation act) {
  return act == activation::none ? x : detail::unary(fn::activated{act}, x);
}
template <class B> var<B> relu(var<B> x) { return activate(x, activation::relu); }
template <class B> var<B> gelu(var<B> x) { return activate(x, activation::gelu); }
template <class B> var<B> silu(var<B> x) { return activate(x, activation::silu); }
template <class B> var<B> tanh(var<B> x) { return activate(x, activation::tanh); }

/// act(a) b for each block [a | b] of x's columns, of which there are `groups`: n x (groups 2f) to n x (groups f).
template <class B>
var<B> gated(var<B> x, activation act, std::size_t groups = 1) {
  if (groups == 0 || x.cols() % (2 * groups))
    throw error("gated", std::to_string(groups) + " blocks of an even number of columns", std::to_string(x.cols()) + " columns");
  const std::size_t f = x.cols() / 2 / groups, n = x.rows() * groups;
  typename B::scalar* out = nullptr;
  auto y = x.on().result(x.rows(), x.cols() / 2, x.needs_gradient(), out);
  x.backend().gate(act, n, f, x.data(), out);
  x.on().record(y, [=](const auto* dy) {
    const auto g = x.accumulate();
    x.backend().gate_gradient(act, n, f, x.data(), dy, g.beta, g.data);
  });
  return y;
}

/// The same values under another extent of the same size.
template <class B>
var<B> reshape(var<B> x, extent columns) {
  expect_equal("reshape", "values a row", x.cols(), columns.size());
  return x.columns() == columns ? x : x.on().view(x, x.rows(), columns);
}

/// The same values as a matrix of other height.
template <class B>
var<B> reshape(var<B> x, std::size_t rows, extent columns) {
  expect_equal("reshape", "values", x.size(), checked_product("reshape", rows, columns.size()));
  return x.on().view(x, rows, columns);
}

/// The values of x; no gradient flows back.
template <class B>
var<B> stop_gradient(var<B> x) { return x.on().tensor(x.data(), x.rows(), x.columns()); }

}  // namespace ops

template <class B> var<B> operator+(var<B> a, var<B> b) { return ops::add(a, b); }
template <class B> var<B> operator-(var<B> a, var<B> b) { return ops::subtract(a, b); }
template <class B> var<B> operator*(var<B> a, var<B> b) { return ops::multiply(a, b); }
template <class B> var<B> operator/(var<B> a, var<B> b) { return ops::divide(a, b); }
template <class B> var<B> operator*(double a, var<B> x) { return ops::scale(x, a); }
template <class B> var<B> operator*(var<B> x, double a) { return ops::scale(x, a); }
template <class B> var<B> operator/(var<B> x, double a) { return ops::scale(x, 1 / a); }
template <class B> var<B> operator/(double a, var<B> x) {
  return ops::divide(x.on().constant(x.rows(), x.columns(), typename B::scalar(a)), x);
}
template <class B> var<B> operator+(var<B> x, double b) { return ops::affine(x, 1, b); }
template <class B> var<B> operator+(double b, var<B> x) { return ops::affine(x, 1, b); }
template <class B> var<B> operator-(var<B> x, double b) { return ops::affine(x, 1, -b); }
template <class B> var<B> operator-(double b, var<B> x) { return ops::affine(x, -1, b); }
template <class B> var<B> operator-(var<B> x) { return ops::scale(x, -1); }

}  // namespace modx
