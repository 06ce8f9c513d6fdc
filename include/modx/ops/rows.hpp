// Operations along rows and columns: softmax, sums, means, broadcasts, slices.
#pragma once
#include <modx/ops/elementwise.hpp>

namespace modx::ops {

namespace detail {
/// Ids on the device, one for each of n.
inline void expect_ids(const char* op, const std::int32_t* id, std::size_t n) {
  if (n && !id) throw error(op, std::to_string(n) + " ids", "none");
}

template <class B>
var<B> along_rows(row_function f, var<B> x) {
  constexpr const char* name[] = {"softmax_rows", "log_softmax_rows", "log_sum_exp_rows", "sum_rows"};
  if (f != row_function::sum) expect_positive(name[int(f)], "columns", static_cast<long long>(x.cols()));
  const bool keeps_width = f == row_function::softmax || f == row_function::log_softmax;
  typename B::scalar* out = nullptr;
  auto y = x.on().result(x.rows(), keeps_width ? x.columns() : extent(1), x.needs_gradient(), out);
  x.backend().rows(f, x.rows(), x.cols(), x.data(), out);
  x.on().record(y, [=](const auto* dy) {
    auto g = x.accumulate();
    x.backend().rows_gradient(f, x.rows(), x.cols(), x.data(), y.data(), dy, g.beta, g.data);
  });
  return y;
}
}  // namespace detail

template <class B> var<B> softmax_rows(var<B> x) { return detail::along_rows(row_function::softmax, x); }
template <class B> var<B> log_softmax_rows(var<B> x) { return detail::along_rows(row_function::log_softmax, x); }
/// n x d -> n x 1.
template <class B> var<B> log_sum_exp_rows(var<B> x) { return detail::along_rows(row_function::log_sum_exp, x); }
template <class B> var<B> sum_rows(var<B> x) { return detail::along_rows(row_function::sum, x); }

/// y = x with row t multiplied by s[t]; x: n x d, s: n x 1.
template <class B>
var<B> scale_rows(var<B> x, var<B> s) {
  if (s.rows() != x.rows() || s.cols() != 1)
    throw error("scale_rows", std::to_string(x.rows()) + " x 1",
                std::to_string(s.rows()) + " x " + std::to_string(s.cols()));
  typename B::scalar* out = nullptr;
  auto y = x.on().result(x.rows(), x.columns(), x.needs_gradient() || s.needs_gradient(), out);
  x.backend().scale_rows(x.rows(), x.cols(), x.data(), s.data(), 0, out);
  x.on().record(y, [=](const auto* dy) {
    auto& b = x.backend();
    if (x.needs_gradient()) {
      auto g = x.accumulate();
      b.scale_rows(x.rows(), x.cols(), dy, s.data(), g.beta, g.data);
    }
    if (s.needs_gradient()) {
      auto g = s.accumulate();
      b.dot_rows(x.rows(), x.cols(), dy, x.data(), g.beta, g.data);
    }
  });
  return y;
}

/// Rows divided by their sums.
template <class B>
var<B> normalize_rows(var<B> x) {
  return scale_rows(x, divide(x.on().constant(x.rows(), 1, 1), sum_rows(x)));
}

/// y = x + r in each row; r: 1 x d.
template <class B>
var<B> add_row(var<B> x, var<B> r) {
  if (r.rows() != 1 || r.cols() != x.cols())
    throw error("add_row", "1 x " + std::to_string(x.cols()),
                std::to_string(r.rows()) + " x " + std::to_string(r.cols()));
  typename B::scalar* out = nullptr;
  auto y = x.on().result(x.rows(), x.columns(), x.needs_gradient() || r.needs_gradient(), out);
  x.backend().add_row(x.rows(), x.cols(), x.data(), r.data(), out);
  x.on().record(y, [=](const auto* dy) {
    auto& b = x.backend();
    if (x.needs_gradient()) {
      auto g = x.accumulate();
      b.axpy(x.size(), 1, dy, g.beta, g.data);
    }
    if (r.needs_gradient()) {
      auto g = r.accumulate();
      b.column_sums(x.rows(), x.cols(), x.cols(), 1, dy, g.beta, g.data);
    }
  });
  return y;
}

/// Mean over rows: n x d -> 1 x d.
template <class B>
var<B> mean_of_rows(var<B> x) {
  expect_positive("mean_of_rows", "rows", static_cast<long long>(x.rows()));
  using T = typename B::scalar;
  T* out = nullptr;
  auto y = x.on().result(1, x.columns(), x.needs_gradient(), out);
  const T a = T(1) / T(x.rows());
  x.backend().column_sums(x.rows(), x.cols(), x.cols(), a, x.data(), 0, out);
  x.on().record(y, [=](const auto* dy) {
    auto g = x.accumulate();
    x.backend().broadcast_row(x.rows(), x.cols(), a, dy, g.beta, g.data);
  });
  return y;
}

/// a * sum of all values: n x d -> 1 x 1.
template <class B>
var<B> sum(var<B> x, double a = 1) {
  using T = typename B::scalar;
  T* out = nullptr;
  auto y = x.on().result(1, 1, x.needs_gradient(), out);
  x.backend().sum(x.size(), T(a), x.data(), out);
  x.on().record(y, [=](const auto* dy) {
    auto g = x.accumulate();
    x.backend().broadcast_row(x.size(), 1, T(a), dy, g.beta, g.data);
  });
  return y;
}
/// Mean of all values: n x d -> 1 x 1.
template <class B>
var<B> mean(var<B> x) {
  expect_positive("mean", "values", static_cast<long long>(x.size()));
  return sum(x, 1.0 / double(x.size()));
}

/// Columns [from, from + m).
template <class B>
var<B> columns(var<B> x, std::size_t from, std::size_t m) {
  if (from > x.cols() || m > x.cols() - from)
    throw error("columns", "a range within " + std::to_string(x.cols()) + " columns",
                std::to_string(from) + " + " + std::to_string(m));
  typename B::scalar* out = nullptr;
  auto y = x.on().result(x.rows(), m, x.needs_gradient(), out);
  x.backend().take_columns(x.rows(), x.cols(), from, m, x.data(), 0, out);
  x.on().record(y, [=](const auto* dy) {
    auto g = x.accumulate();
    if (g.beta == 0) x.backend().fill(x.size(), 0, g.data);
    x.backend().put_columns(x.rows(), x.cols(), from, m, dy, 1, g.data);
  });
  return y;
}

/// Rows [from, from + n), as a view.
template <class B>
var<B> rows(var<B> x, std::size_t from, std::size_t n) {
  if (from > x.rows() || n > x.rows() - from)
    throw error("rows", "a range within " + std::to_string(x.rows()) + " rows",
                std::to_string(from) + " + " + std::to_string(n));
  auto y = x.on().tensor(x.data() + from * x.cols(), n, x.columns(), x.needs_gradient());
  x.on().record(y, [=](const auto* dy) {
    auto g = x.accumulate();
    if (g.beta == 0) x.backend().fill(x.size(), 0, g.data);
    x.backend().axpy(y.size(), 1, dy, 1, g.data + from * x.cols());
  });
  return y;
}

/// Ids that came as numbers, n x 1; one that is no integer becomes -1, which every lookup refuses.
template <class B>
const std::int32_t* ids_of(var<B> x) {
  expect_equal("ids_of", "column", 1, x.cols());
  auto* id = x.on().template device<std::int32_t>(x.rows());
  x.backend().ids_of(x.rows(), x.data(), id);
  return id;
}
/// y[t] = x[id[t]] for n ids on the device: a lookup in a table of embeddings.
template <class B>
var<B> take_rows(var<B> x, const std::int32_t* id, std::size_t n) {
  checked_product("take_rows", n, x.cols());
  detail::expect_ids("take_rows", id, n);
  typename B::scalar* out = nullptr;
  auto y = x.on().result(n, x.columns(), x.needs_gradient(), out);
  if constexpr (requires { x.backend().bf16_panel(); }) {
    if (const auto* p = x.raw().source; p && p->bf16()) {
      if (!p->bf16_transposed())
        throw error("take_rows of '" + p->name() + "'", "a table frozen for x W^T", "one for x W");
      x.backend().gather_bf16(n, x.cols(), x.rows(), p->bf16(), id, out);
      return y;
    }
  }
  x.backend().gather_rows(n, x.rows(), x.cols(), x.data(), id, out);
  x.on().record(y, [=](const auto* dy) {
    const auto g = x.accumulate();
    x.backend().scatter_rows(n, x.rows(), x.cols(), dy, id, g.beta, g.data);
  });
  return y;
}

}  // namespace modx::ops
