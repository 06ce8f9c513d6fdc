// Operations of top-k routing: choose, sort tokens by expert, send them there.
#pragma once
#include <modx/ops/experts.hpp>

namespace modx::ops {

/// Ids of the k largest of each row, largest first, ties to the lowest index, NaN behind every number: n x k on the
/// device.  No gradient.
template <class B>
const std::int32_t* top_k(var<B> x, std::size_t k) {
  if (k == 0 || k > x.cols())
    throw error("top_k", "1 <= k <= " + std::to_string(x.cols()) + " experts", "k = " + std::to_string(k));
  auto* id = x.on().template device<std::int32_t>(x.rows() * k);
  x.backend().top_k(x.rows(), x.cols(), k, x.data(), id);
  return id;
}

/// y[t, s] = x[t, id[t, s]]; ids of one row differ.
template <class B>
var<B> gather_columns(var<B> x, const std::int32_t* id, std::size_t k) {
  using T = typename B::scalar;
  if (k == 0 || k > x.cols())
    throw error("gather_columns", "1 <= k <= " + std::to_string(x.cols()) + " columns", "k = " + std::to_string(k));
  detail::expect_ids("gather_columns", id, x.rows());
  T* out = nullptr;
  auto y = x.on().result(x.rows(), k, x.needs_gradient(), out);
  x.backend().gather_columns(x.rows(), x.cols(), k, x.data(), id, out);
  x.on().record(y, [=](const T* dy) {
    const auto g = x.accumulate();
    x.backend().gather_columns_gradient(x.rows(), x.cols(), k, dy, id, g.beta, g.data);
  });
  return y;
}

/// Stable counting permutation of n x k slots by expert.
template <class B>
permutation sort_by_expert(tape<B>& t, const std::int32_t* id, std::size_t n, std::size_t k, std::size_t e) {
  constexpr std::size_t limit = 0x7fffffff;  // ids and rows are 32-bit
  if (checked_product("sort_by_expert", n, k) > limit)
    throw error("sort_by_expert", "below 2^31 slots", std::to_string(n) + " x " + std::to_string(k));
  if (k == 0 || k > e || e > limit)
    throw error("sort_by_expert", "1 <= k <= experts", "k = " + std::to_string(k) + " of " + std::to_string(e));
  detail::expect_ids("sort_by_expert", id, n);
  permutation p{n, k, e, nullptr, nullptr, nullptr};
  auto* offsets = t.template host<std::int32_t>(e + 1);
  auto* position = t.template device<std::int32_t>(n * k);
  auto* source = t.template device<std::int32_t>(n * k);
  t.backend().permute(n, e, k, id, offsets, position, source);
  p.offsets = offsets, p.position = position, p.source = source;
  return p;
}

/// Tokens in the order of the permutation: n x d -> (n k) x d.
template <class B>
var<B> permute_rows(var<B> x, permutation p) {
  using T = typename B::scalar;
  expect_equal("permute_rows", "tokens", p.n, x.rows());
  checked_product("permute_rows", checked_product("permute_rows", p.n, p.k), x.cols());
  detail::expect_ids("permute_rows", p.source, p.n * p.k);
  T* out = nullptr;
  auto y = x.on().result(p.n * p.k, x.columns(), x.needs_gradient(), out);
  x.backend().gather_rows(p.n * p.k, x.rows(), x.cols(), x.data(), p.source, out);
  x.on().record(y, [=](const T* dy) {
    const auto g = x.accumulate();
    x.backend().combine(p, x.cols(), nullptr, dy, g.beta, g.data);
  });
  return y;
}

}  // namespace modx::ops
