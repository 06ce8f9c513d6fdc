// The outputs of e experts, side by side for every token, and how to fold them.
#pragma once
#include <modx/ops/linear.hpp>

namespace modx {

/// Every expert's output for every token: n x e x m.
template <class B>
struct outputs {
  var<B> y;  // n x (e m)
  std::size_t experts = 0;
  std::span<const typename B::scalar> presence{};  // how far each is there, 0 to 1; empty: all are

  std::size_t tokens() const { return y.rows(); }
  std::size_t width() const {
    if (experts == 0 || y.cols() % experts)
      throw error("outputs", std::to_string(experts) + " equal blocks of columns", std::to_string(y.cols()) + " columns");
    return y.cols() / experts;
  }
  /// Output of one expert, n x m.
  var<B> operator[](std::size_t i) const { return ops::columns(y, i * width(), width()); }
};

/// The awake experts' outputs in the rows of a permutation: (n k) x m.
template <class B>
struct slot_outputs {
  var<B> y;
  permutation order;

  std::size_t tokens() const { return order.n; }
  std::size_t width() const { return y.cols(); }
};

namespace ops {

/// out[t] = sum over experts of w[t, e] y[t, e]; w: n x e.
template <class B>
var<B> weighted_sum(var<B> w, const outputs<B>& o) {
  using T = typename B::scalar;
  const auto y = o.y;
  const std::size_t n = o.tokens(), e = o.experts, m = o.width();
  if (w.rows() != n || w.cols() != e)
    throw error("weighted_sum", "weights " + std::to_string(n) + " x " + std::to_string(e),
                std::to_string(w.rows()) + " x " + std::to_string(w.cols()));
  T* out = nullptr;
  auto s = y.on().result(n, m, w.needs_gradient() || y.needs_gradient(), out);
  y.backend().weighted_sum(n, e, m, w.data(), y.data(), out);
  y.on().record(s, [=](const T* ds) {
    gradient_target<T> gw{nullptr, 0}, gy{nullptr, 0};
    if (w.needs_gradient()) gw = w.accumulate();
    if (y.needs_gradient()) gy = y.accumulate();
    y.backend().weighted_sum_gradient(n, e, m, w.data(), y.data(), ds, gw.beta, gw.data, gy.beta, gy.data);
  });
  return s;
}

/// out[t] = sum over slots of w[t, s] times the output in that slot, in slot order; w: n x k.
template <class B>
var<B> weighted_sum(var<B> w, const slot_outputs<B>& o) {
  using T = typename B::scalar;
  const auto y = o.y;
  const auto p = o.order;
  if (w.rows() != p.n || w.cols() != p.k)
    throw error("weighted_sum", "weights " + std::to_string(p.n) + " x " + std::to_string(p.k),
                std::to_string(w.rows()) + " x " + std::to_string(w.cols()));
  expect_equal("weighted_sum", "rows of the outputs (tokens x k)", p.n * p.k, y.rows());
  T* out = nullptr;
  auto s = y.on().result(p.n, y.cols(), w.needs_gradient() || y.needs_gradient(), out);
  y.backend().combine(p, y.cols(), w.data(), y.data(), 0, out);
  y.on().record(s, [=](const T* ds) {
    gradient_target<T> gw{nullptr, 0};
    gradient_target<T> gy{nullptr, 0};
    if (w.needs_gradient()) gw = w.accumulate();
    if (y.needs_gradient()) gy = y.accumulate();
    const bool adds = gy.beta != 0;  // y has another reader: combine_gradient() overwrites, so its result is added
    T* dy = adds ? y.on().template device<T>(y.size()) : gy.data;
    y.backend().combine_gradient(p, y.cols(), w.data(), y.data(), ds, gw.beta, gw.data, dy);
    if (adds) y.backend().axpy(y.size(), 1, dy, gy.beta, gy.data);
  });
  return s;
}

/// Sum over experts, each as far as it is there.
template <class B>
var<B> sum_experts(const outputs<B>& o) {
  auto& t = o.y.on();
  if (o.presence.empty()) return weighted_sum(t.constant(o.tokens(), o.experts, 1), o);
  return weighted_sum(add_row(t.constant(o.tokens(), o.experts, 0), t.input(o.presence, 1, o.experts)), o);
}
/// Mean over the experts that are there.
template <class B>
var<B> mean_experts(const outputs<B>& o) {
  double present = o.presence.empty() ? double(o.experts) : 0;
  for (const auto a : o.presence) present += double(a);
  if (!(present > 0)) throw error("mean_experts", "an expert that is there", "none");
  return scale(sum_experts(o), 1 / present);
}

/// y[t, i] + x[t] for each of e experts; x: n x m.
template <class B>
outputs<B> add_to_each(const outputs<B>& o, var<B> x) {
  using T = typename B::scalar;
  const auto y = o.y;
  const std::size_t n = o.tokens(), e = o.experts, m = o.width();
  if (x.rows() != n || x.cols() != m)
    throw error("add_to_each", std::to_string(n) + " x " + std::to_string(m),
                std::to_string(x.rows()) + " x " + std::to_string(x.cols()));
  const auto ones = y.on().constant(n, e, 1);
  T* out = nullptr;
  auto z = y.on().result(n, y.columns(), x.needs_gradient() || y.needs_gradient(), out);
  auto& b = y.backend();
  b.axpy(y.size(), 1, y.data(), 0, out);
  b.weighted_sum_gradient(n, e, m, ones.data(), y.data(), x.data(), 0, nullptr, 1, out);
  y.on().record(z, [=](const T* dz) {
    auto& on = y.backend();
    if (x.needs_gradient()) {
      T* sum = y.on().template device<T>(x.size());
      on.weighted_sum(n, e, m, ones.data(), dz, sum);
      const auto g = x.accumulate();
      on.axpy(x.size(), 1, sum, g.beta, g.data);
    }
    if (y.needs_gradient()) y.take_gradient(z);
  });
  return {z, e};
}

/// out[t] = y[t, id[t]].
template <class B>
var<B> pick_expert(const outputs<B>& o, const std::int32_t* id) {
  using T = typename B::scalar;
  const auto y = o.y;
  const std::size_t n = o.tokens(), e = o.experts, m = o.width();
  detail::expect_ids("pick_expert", id, n);
  T* out = nullptr;
  auto s = y.on().result(n, m, y.needs_gradient(), out);
  y.backend().pick(n, e, m, id, y.data(), out);
  y.on().record(s, [=](const T* ds) {
    const auto g = y.accumulate();
    y.backend().pick_gradient(n, e, m, id, ds, g.beta, g.data);
  });
  return s;
}

/// Puts e tensors n x m side by side.
template <class B>
outputs<B> stack(std::span<const var<B>> parts) {
  using T = typename B::scalar;
  if (parts.empty()) throw error("stack", "at least one tensor", "none");
  const std::size_t n = parts[0].rows(), m = parts[0].cols(), e = parts.size();
  auto& t = parts[0].on();
  auto* kept = t.template host<var<B>>(e);
  bool needs = false;
  for (std::size_t i = 0; i < e; ++i) {
    detail::expect_same_shape("stack", parts[0], parts[i]);
    kept[i] = parts[i];
    needs = needs || parts[i].needs_gradient();
  }
  T* out = nullptr;
  auto y = t.result(n, e * m, needs, out);
  for (std::size_t i = 0; i < e; ++i) t.backend().put_columns(n, e * m, i * m, m, kept[i].data(), 0, out);
  t.record(y, [=](const T* dy) {
    for (std::size_t i = 0; i < e; ++i) {
      if (!kept[i].needs_gradient()) continue;
      const auto g = kept[i].accumulate();
      kept[i].backend().take_columns(n, e * m, i * m, m, dy, g.beta, g.data);
    }
  });
  return {y, e};
}

/// z[t, i] = sum over experts j of c[i, j] y[t, j]; c: e x e for all tokens, or n x (e e), its own for each.
template <class B>
outputs<B> mix_experts(var<B> c, const outputs<B>& o) {
  using T = typename B::scalar;
  const auto y = o.y;
  const std::size_t n = o.tokens(), e = o.experts;
  expect_positive("mix_experts", "experts", static_cast<long long>(e));
  const bool own = c.rows() == n && c.cols() == e * e;
  if (!own && (c.rows() != e || c.cols() != e))
    throw error("mix_experts", "a matrix " + std::to_string(e) + " x " + std::to_string(e) + ", or " +
                std::to_string(n) + " x " + std::to_string(e * e),
                std::to_string(c.rows()) + " x " + std::to_string(c.cols()));
  const std::size_t m = o.width(), stride = own ? e * e : 0;
  T* out = nullptr;
  auto z = y.on().result(n, y.columns(), c.needs_gradient() || y.needs_gradient(), out);
  y.backend().mix_experts(n, e, m, stride, false, c.data(), y.data(), 0, out);
  y.on().record(z, [=](const T* dz) {
    auto& b = y.backend();
    if (y.needs_gradient()) {
      const auto g = y.accumulate();
      b.mix_experts(n, e, m, stride, true, c.data(), dz, g.beta, g.data);
    }
    if (c.needs_gradient() && own) {
      const auto g = c.accumulate();
      b.dot_experts(n, e, m, dz, y.data(), g.beta, g.data);
    } else if (c.needs_gradient()) {
      const auto g = c.accumulate();
      T* each = y.on().template device<T>(n * e * e);
      b.dot_experts(n, e, m, dz, y.data(), 0, each);
      b.column_sums(n, e * e, e * e, 1, each, g.beta, g.data);
    }
  });
  return {z, e};
}

/// The dot products of a token's outputs: n x (e e), entry (i, j) = <y[t, i], y[t, j]>.
template <class B>
var<B> gram_experts(const outputs<B>& o) {
  using T = typename B::scalar;
  const auto y = o.y;
  const std::size_t n = o.tokens(), m = o.width(), e = o.experts;
  T* out = nullptr;
  auto c = y.on().result(n, checked_product("gram_experts", e, e), y.needs_gradient(), out);
  y.backend().dot_experts(n, e, m, y.data(), y.data(), 0, out);
  y.on().record(c, [=](const T* dc) {
    const auto g = y.accumulate();
    y.backend().mix_experts(n, e, m, e * e, false, dc, y.data(), g.beta, g.data);
    y.backend().mix_experts(n, e, m, e * e, true, dc, y.data(), 1, g.data);
  });
  return c;
}

/// Puts tensors of equal width below each other.
template <class B>
var<B> concat_rows(std::span<const var<B>> parts) {
  using T = typename B::scalar;
  if (parts.empty()) throw error("concat_rows", "at least one tensor", "none");
  auto& t = parts[0].on();
  auto* kept = t.template host<var<B>>(parts.size());
  bool needs = false;
  std::size_t n = 0;
  const std::size_t m = parts[0].cols(), count = parts.size();
  for (std::size_t i = 0; i < count; ++i) {
    expect_equal("concat_rows", "columns", m, parts[i].cols());
    kept[i] = parts[i];
    n += parts[i].rows();
    needs = needs || parts[i].needs_gradient();
  }
  T* out = nullptr;
  auto y = t.result(n, parts[0].columns(), needs, out);
  for (std::size_t i = 0, at = 0; i < count; at += kept[i++].size())
    t.backend().axpy(kept[i].size(), 1, kept[i].data(), 0, out + at);
  t.record(y, [=](const T* dy) {
    for (std::size_t i = 0, at = 0; i < count; at += kept[i++].size()) {
      if (!kept[i].needs_gradient()) continue;
      const auto g = kept[i].accumulate();
      kept[i].backend().axpy(kept[i].size(), 1, dy + at, g.beta, g.data);
    }
  });
  return y;
}

}  // namespace ops
}  // namespace modx
