// loss = sum over mixtures of s f(t) mean_ij (C - I)_ij^2, f(t) = min(1, t / warmup): outputs are pushed apart.
// cosine: C_ij = cos(y_i, y_j), i != j; gram: C_ij = <y_i, y_j>, norms are pushed to 1 too.
// mean: y_i is expert i's mean over the tokens; pool: C is the mean of the tokens' C.
// The losses of Orthogonal-MoE (2025).
#pragma once
#include <modx/loss/sum.hpp>
#include <vector>

namespace modx::loss {

namespace detail {
/// Cosines of Gram matrices, n x e^2.
template <class B>
var<B> cosines(var<B> gram, std::size_t e) {
  using T = typename B::scalar;
  auto& t = gram.on();
  T *diagonal = t.template host<T>(e * e * e), *row = t.template host<T>(e * e * e),
    *column = t.template host<T>(e * e * e);
  for (std::size_t i = 0; i < e * e * e; ++i) diagonal[i] = row[i] = column[i] = 0;
  for (std::size_t i = 0; i < e; ++i)
    for (std::size_t j = 0; j < e; ++j) {
      if (i == j) diagonal[(i * e + j) * e + i] = 1;
      row[i * e * e + i * e + j] = column[j * e * e + i * e + j] = 1;
    }
  const auto constant = [&](const T* v, std::size_t rows) {
    return t.input(std::span<const T>(v, e * e * e), rows, e * e * e / rows);
  };
  const auto norm = ops::sqrt(ops::matmul(gram, constant(diagonal, e * e)) + 1e-12);
  return gram / (ops::matmul(norm, constant(row, e)) * ops::matmul(norm, constant(column, e)));
}
/// Weighted mean of (C - I)^2 of e x e matrices in a row, each pair as far as both experts are there; the
/// diagonal counts for `with_norms`.
template <class B>
var<B> off_identity(var<B> c, std::size_t e, bool with_norms, std::span<const typename B::scalar> presence) {
  using T = typename B::scalar;
  auto& t = c.on();
  T *identity = t.template host<T>(e * e), *share = t.template host<T>(e * e);
  double total = 0;
  for (std::size_t i = 0; i < e; ++i)
    for (std::size_t j = 0; j < e; ++j) {
      identity[i * e + j] = T(i == j);
      share[i * e + j] = i == j && !with_norms ? T(0) : presence.empty() ? T(1) : presence[i] * presence[j];
      total += double(share[i * e + j]);
    }
  const std::span<const T> one(identity, e * e), part(share, e * e);
  return ops::sum(ops::square(c - t.input(one, 1, e * e)) * t.input(part, 1, e * e),
                  total > 0 ? 1 / total : 0);
}
}  // namespace detail

/// Reads the outputs of the step before they are coupled: throws when no dense mixture has run.  t is the
/// step of the batch's context.
struct orthogonality {
  using adds_up = void;
  enum class measure { cosine, gram } of = measure::cosine;
  enum class average { mean, pool } over = average::mean;
  double weight = 0.1;
  std::uint64_t warmup = 0;
  std::vector<double> strengths{};  // s of each mixture in the order they run; empty: `weight` for all
  bool operator==(const orthogonality&) const = default;

  template <Backend B, class Target>
  var<B> operator()(var<B> y, const Target&) const {
    auto& t = y.on();
    std::size_t left = 0;
    for (auto* r = expert_outputs(t); r; r = r->next) ++left;
    if (!left) throw error("orthogonality", "a dense mixture in the forward pass", "none");
    if (!strengths.empty())
      expect_equal("orthogonality", "strengths (one a mixture)", left, strengths.size());
    const std::uint64_t at = warmup ? std::uint64_t(t.context.step) : 0;
    const double ready = at < warmup ? double(at) / double(warmup) : 1;
    var<B> total;
    for (auto* r = expert_outputs(t); r; r = r->next) {
      const double s = ready * (strengths.empty() ? weight : strengths[--left]);
      const std::size_t e = r->y.experts;
      const bool cosine = of == measure::cosine;
      const outputs<B> said{over == average::mean ? ops::mean_of_rows(r->y.y) : r->y.y, e};
      auto c = ops::gram_experts(said);
      if (cosine) c = detail::cosines(c, e);
      if (over == average::pool) c = ops::mean_of_rows(c);
      const auto one = s * detail::off_identity(c, e, !cosine, r->y.presence);
      total = total ? total + one : one;
    }
    return total;
  }
};

}  // namespace modx::loss
