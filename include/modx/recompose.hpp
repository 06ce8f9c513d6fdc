// Taking a trained mixture apart and putting it together again: experts are removed, added and replaced by name.
#pragma once
#include <modx/expert/linear.hpp>
#include <modx/expert/low_rank.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>

namespace modx {

namespace detail {
/// The router's parameters that have a column an expert ("weight", "bias"); none for uniform and oracle.
template <class M>
constexpr std::span<const char* const> gates_of() {
  using R = std::decay_t<decltype(std::declval<const M&>().spec().router)>;
  if constexpr (requires { R::expert_columns; }) {
    return R::expert_columns;
  } else {
    return {};
  }
}
constexpr bool is_bias(std::string_view name) { return name.ends_with("bias"); }
template <class M>
constexpr bool has_bias_per_expert() {
  for (const std::string_view name : gates_of<M>())
    if (is_bias(name)) return true;
  return false;
}

/// Whether a new expert starts with this parameter at zero: the last layer only, or nothing in it could ever learn.
/// Other modules start as build() makes them, behind a closed gate all the same.
template <class E>
bool starts_at_zero(const E&, std::string_view) { return false; }
inline bool starts_at_zero(const expert::linear&, std::string_view) { return true; }
inline bool starts_at_zero(const expert::mlp&, std::string_view name) { return name.starts_with("down."); }
inline bool starts_at_zero(const expert::low_rank&, std::string_view name) { return name == "v"; }

/// Recomposition knows experts by their number, and ghosts come behind them.
template <class M>
void expect_no_ghosts(const char* where, const M& m) {
  if (m.bound().experts() != m.spec().n_experts) throw error(where, "a mixture without ghosts", "one with");
}
/// Copies what a mixture of other size shares with `from`: expert j of `to` is expert source[j] of `from`
/// (negative: new, its output zero and its gate closed).
template <class From, class To>
void copy_mixture(const From& from, To& to, const std::vector<int>& source) {
  using T = typename From::scalar;
  const std::size_t old_count = from.bound().experts();
  for (auto* p : to.parameters()) {
    const std::string& name = p->name();
    if (name.starts_with("experts.")) {
      const std::size_t dot = name.find('.', 8);
      const int j = source[std::size_t(std::stoul(name.substr(8, dot - 8)))];
      if (j < 0) {
        if (starts_at_zero(from.spec().experts, std::string_view(name).substr(dot + 1)))
          p->set(matrix<T>(p->rows(), p->cols()));
      } else {
        p->set(from.find("experts." + std::to_string(j) + name.substr(dot)).host());
      }
      continue;
    }
    const auto old = from.find(name).host();
    bool per_expert = false;  // the router's outputs: one column an expert
    for (const char* part : gates_of<From>())
      per_expert = per_expert || name == std::string("router.") + part;
    if (!per_expert) {
      p->set(old);
      continue;
    }
    expect_equal("recompose", "columns of the router", old_count, old.cols);
    matrix<T> values(p->rows(), p->cols());
    for (std::size_t r = 0; r < values.rows; ++r)
      for (std::size_t c = 0; c < values.cols; ++c)
        values(r, c) = source[c] < 0 ? T(is_bias(name) ? -1e9 : 0) : old(r, std::size_t(source[c]));
    p->set(values);
  }
}
}  // namespace detail

/// The mixture without expert i: the router's column goes with it, the other gates renormalise.
template <class M>
M remove_expert(const M& from, std::size_t i) {
  detail::expect_no_ghosts("remove_expert", from);
  const std::size_t e = from.bound().experts();
  if (i >= e) throw error("remove_expert", "an expert below " + std::to_string(e), std::to_string(i));
  if (e == 1) throw error("remove_expert", "at least two experts", "one");
  auto spec = from.spec();
  spec.n_experts = e - 1;
  M to = build(from.backend(), spec, from.io());
  std::vector<int> source;
  for (std::size_t j = 0; j < e; ++j)
    if (j != i) source.push_back(int(j));
  detail::copy_mixture(from, to, source);
  return to;
}

/// The mixture with one more expert at position i: its output is zero and its gate closed (bias -1e9: probability exactly
/// 0).  Behind the others (i = e) it changes no bit of the outputs until open_gate() and training; between them the
/// softmax adds the same numbers in another order.
template <class M>
M add_expert(const M& from, std::size_t i) {
  static_assert(detail::has_bias_per_expert<M>(),
                "modx: add_expert needs a router with a bias for each expert: the new one's gate is closed by it");
  detail::expect_no_ghosts("add_expert", from);
  const std::size_t e = from.bound().experts();
  if (i > e) throw error("add_expert", "a position up to " + std::to_string(e), std::to_string(i));
  auto spec = from.spec();
  spec.n_experts = e + 1;
  M to = build(from.backend(), spec, from.io());
  std::vector<int> source;
  for (std::size_t j = 0; j < e; ++j) source.push_back(int(j));
  source.insert(source.begin() + std::ptrdiff_t(i), -1);
  detail::copy_mixture(from, to, source);
  return to;
}

/// Values by name, as they stand in a file.
template <class T>
using named_values = std::vector<std::pair<std::string, matrix<T>>>;

/// One expert's values and its gate: names "weight", "bias", ..., "gate.weight", "gate.bias".
template <class M>
named_values<typename M::scalar> take_expert(const M& from, std::size_t i) {
  const std::size_t e = from.bound().experts();
  if (i >= e) throw error("take_expert", "an expert below " + std::to_string(e), std::to_string(i));
  named_values<typename M::scalar> out;
  const std::string prefix = "experts." + std::to_string(i) + ".";
  for (auto* p : from.parameters())
    if (p->name().starts_with(prefix)) out.emplace_back(p->name().substr(prefix.size()), p->host());
  for (const char* part : detail::gates_of<M>()) {
    const auto all = from.find(std::string("router.") + part).host();
    matrix<typename M::scalar> column(all.rows, 1);
    for (std::size_t r = 0; r < all.rows; ++r) column(r, 0) = all(r, i);
    out.emplace_back(std::string("gate.") + part, std::move(column));
  }
  return out;
}

/// Puts values from take_expert() in place i; `with_gate` also restores the router's column, else gate values may be
/// left out.  Values that are missing, unknown or of another shape are an error, and nothing changes then.
template <class M>
void put_expert(M& to, std::size_t i, const named_values<typename M::scalar>& values, bool with_gate = true) {
  const auto is_gate = [](const std::string& name) { return name.starts_with("gate."); };
  const auto expected = take_expert(to, i);
  for (const auto& [name, m] : expected) {
    const matrix<typename M::scalar>* found = nullptr;
    for (const auto& [n, v] : values) {
      if (n != name) continue;
      if (found) throw error("put_expert", "one tensor '" + name + "'", "two");
      found = &v;
    }
    if (!found && is_gate(name) && !with_gate) continue;
    if (!found) throw error("put_expert", "a tensor '" + name + "'", "none");
    if (found->rows != m.rows || found->cols != m.cols)
      throw error("put_expert, '" + name + "'", std::to_string(m.rows) + " x " + std::to_string(m.cols),
                  std::to_string(found->rows) + " x " + std::to_string(found->cols));
  }
  for (const auto& [name, v] : values) {
    bool known = false;
    for (const auto& [n, m] : expected) known = known || n == name;
    if (!known) throw error("put_expert", "tensors of this kind of expert", "also '" + name + "'");
  }
  for (const auto& [name, v] : values) {
    if (!is_gate(name)) {
      to.find("experts." + std::to_string(i) + "." + name).set(v);
    } else if (with_gate) {
      auto& p = to.find("router." + name.substr(5));
      auto all = p.host();
      for (std::size_t r = 0; r < all.rows; ++r) all(r, i) = v(r, 0);
      p.set(all);
    }
  }
}

/// Lets a closed gate learn: its bias starts from 0 again.
template <class M>
void open_gate(M& to, std::size_t i) {
  const std::size_t e = to.bound().experts();
  if (i >= e) throw error("open_gate", "an expert below " + std::to_string(e), std::to_string(i));
  for (const char* part : detail::gates_of<M>()) {
    if (!detail::is_bias(part)) continue;
    auto& p = to.find(std::string("router.") + part);
    auto all = p.host();
    all(0, i) = 0;
    p.set(all);
  }
}

}  // namespace modx
