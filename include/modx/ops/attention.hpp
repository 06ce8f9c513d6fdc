// Attention over sequences of tokens (Vaswani et al. 2017), with grouped key heads (Ainslie et al. 2023),
// rotary positions (Su et al. 2021) and normalised queries and keys; and means over sequences.
#pragma once
#include <modx/ops/norm.hpp>

namespace modx {

/// Columns of queries, keys and values, for each group: heads x head_dim, then kv_heads x head_dim twice.
struct head_layout {
  std::size_t heads = 1, kv_heads = 1, head_dim = 0, groups = 1;

  std::size_t queries() const { return heads * head_dim; }
  std::size_t keys() const { return kv_heads * head_dim; }
  std::size_t columns() const { return queries() + 2 * keys(); }
};

namespace ops {

namespace detail {
inline void expect_heads(const char* name, const head_layout& h, std::size_t columns) {
  if (h.heads == 0 || h.kv_heads == 0 || h.head_dim == 0 || h.groups == 0 || h.heads % h.kv_heads)
    throw error(name, "positive heads, a multiple of the key heads",
                std::to_string(h.heads) + " heads, " + std::to_string(h.kv_heads) + " key heads of " +
                    std::to_string(h.head_dim) + ", " + std::to_string(h.groups) + " groups");
  expect_equal(name, "columns (groups x (heads + 2 key heads) x head width)", h.groups * h.columns(),
               columns);
}
/// The sequences of this step, or an error that says who wanted them.
template <class B>
const sequences& expect_sequences(const char* name, var<B> x) {
  const auto& s = x.on().context.sequence;
  if (!s.offsets) throw error(name, "the sequences that the tokens form (tape.context.sequence)", "none");
  expect_equal(name, "tokens in the sequences", x.rows(), s.tokens);
  return s;
}
}  // namespace detail

/// out = softmax(q k^T / sqrt(head_dim)) v inside each sequence of context.sequence, a query seeing keys up
/// to itself (causal) or all; x: n x groups (heads + 2 kv_heads) head_dim, result n x (groups heads
/// head_dim).
template <class B>
var<B> attention(var<B> x, head_layout h, bool causal = true) {
  using T = typename B::scalar;
  detail::expect_heads("attention", h, x.cols());
  const auto& s = detail::expect_sequences("attention", x);
  if (auto* cache = x.on().context.cache) {
    if (!causal) throw error("attention with a cache", "causal attention", "attention to later tokens too");
    T* rows = nullptr;
    auto y = x.on().result(x.rows(), h.queries(), false, rows);
    cache->attend(&x, &h, rows);
    return y;
  }
  attention_task task;
  task.groups = h.groups, task.heads = h.heads, task.kv_heads = h.kv_heads, task.head_dim = h.head_dim;
  task.q_row = task.kv_row = x.cols(), task.q_group = task.kv_group = h.columns();
  task.out_row = h.groups * h.queries(), task.out_group = h.queries();
  task.q = task.kv = s, task.causal = causal;
  task.scale = 1 / std::sqrt(double(h.head_dim));
  const std::size_t k = h.queries(), v = k + h.keys(), n = x.rows();
  T* out = nullptr;
  auto y = x.on().result(n, task.out_row, x.needs_gradient(), out);
  T* log_sum = y.needs_gradient() ? x.on().template device<T>(n * h.groups * h.heads) : nullptr;
  x.backend().attention(task, x.data(), x.data() + k, x.data() + v, out, log_sum);
  x.on().record(y, [=](const T* dy) {
    const auto g = x.accumulate();
    T* dx = g.beta == 0 ? g.data : x.on().template device<T>(x.size());
    x.backend().attention_gradient(task, x.data(), x.data() + k, x.data() + v, y.data(), log_sum, dy, dx,
                                   dx + k, dx + v);
    if (g.beta != 0) x.backend().axpy(x.size(), 1, dx, g.beta, g.data);
  });
  return y;
}

/// Queries and keys of x turned by their token's place in its sequence: pairs (j, j + head_dim / 2) by place
/// * base^(-2 j / head_dim).  With gains (1 x head_dim) each query and key head is RMS-normalised first.
template <class B>
var<B> rotary(var<B> x, head_layout h, double base = 10000, var<B> q_gain = {}, var<B> k_gain = {},
              double eps = 1e-6) {
  using T = typename B::scalar;
  detail::expect_heads("rotary", h, x.cols());
  if (h.head_dim % 2) throw error("rotary", "an even head width", std::to_string(h.head_dim));
  if (!(base > 0)) throw error("rotary", "base > 0", std::to_string(base));
  if (bool(q_gain) != bool(k_gain)) throw error("rotary", "gains of queries and of keys", "one of them");
  for (const auto& gain : {q_gain, k_gain})
    if (gain) expect_equal("rotary", "values of a gain", h.head_dim, gain.size());
  const auto& s = detail::expect_sequences("rotary", x);
  const std::size_t n = x.rows(), width = x.cols(), groups = h.groups;
  rotary_task turn;
  turn.n = n, turn.groups = groups, turn.heads = h.heads + h.kv_heads, turn.head_dim = h.head_dim;
  turn.row = width, turn.group = h.columns(), turn.base = base, turn.position = s.position;
  const bool normed = bool(q_gain);
  // the heads of one group at `from`; y has x's layout
  const auto norm = [=](std::size_t heads) {
    norm_task task;
    task.n = n, task.groups = heads, task.d = h.head_dim;
    task.x_row = task.y_row = width, task.x_group = task.y_group = h.head_dim, task.eps = eps;
    return task;
  };
  T* out = nullptr;
  auto y = x.on().result(
      n, x.columns(), x.needs_gradient() || (normed && (q_gain.needs_gradient() || k_gain.needs_gradient())),
      out);
  auto& b = x.backend();
  b.axpy(x.size(), 1, x.data(), 0, out);
  for (std::size_t i = 0; i < groups && normed; ++i) {
    const std::size_t q = i * h.columns(), k = q + h.queries();
    b.normalize(norm(h.heads), x.data() + q, q_gain.data(), nullptr, out + q);
    b.normalize(norm(h.kv_heads), x.data() + k, k_gain.data(), nullptr, out + k);
  }
  b.rotate(turn, out);
  x.on().record(y, [=](const T* dy) {
    auto& be = x.backend();
    T* back = x.on().template device<T>(x.size());
    be.axpy(x.size(), 1, dy, 0, back);
    auto inverse = turn;
    inverse.inverse = true;
    be.rotate(inverse, back);
    T* dx = nullptr;
    if (normed) {
      dx = x.on().template device<T>(x.size());
      T* workspace = x.on().template device<T>(be.normalize_workspace(norm(h.heads)));
      be.axpy(x.size(), 1, back, 0, dx);  // the values' part; the rest is overwritten
      for (std::size_t i = 0; i < groups; ++i) {
        const std::size_t q = i * h.columns(), k = q + h.queries();
        gradient_target<T> gq{nullptr, 0}, gk{nullptr, 0};
        if (q_gain.needs_gradient()) gq = q_gain.accumulate();
        if (k_gain.needs_gradient()) gk = k_gain.accumulate();
        be.normalize_gradient(norm(h.heads), x.data() + q, q_gain.data(), back + q, 0, dx + q, gq.beta,
                              gq.data, 0, nullptr, workspace);
        be.normalize_gradient(norm(h.kv_heads), x.data() + k, k_gain.data(), back + k, 0, dx + k, gk.beta,
                              gk.data, 0, nullptr, workspace);
      }
    }
    if (!x.needs_gradient()) return;
    const auto g = x.accumulate();
    be.axpy(x.size(), 1, normed ? dx : back, g.beta, g.data);
  });
  return y;
}

/// Last row of each sequence: n x d to sequences x d.
template <class B>
var<B> sequence_lasts(var<B> x) {
  const auto s = detail::expect_sequences("sequence_lasts", x);
  return take_rows(x, s.last, s.count);
}
/// Mean of each sequence's rows: n x d to sequences x d.
template <class B>
var<B> sequence_means(var<B> x) {
  const auto s = detail::expect_sequences("sequence_means", x);
  typename B::scalar* out = nullptr;
  auto y = x.on().result(s.count, x.columns(), x.needs_gradient(), out);
  x.backend().sequence_means(s, x.cols(), x.data(), out);
  x.on().record(y, [=](const auto* dy) {
    const auto g = x.accumulate();
    x.backend().sequence_means_gradient(s, x.cols(), dy, g.beta, g.data);
  });
  return y;
}

}  // namespace ops
}  // namespace modx
