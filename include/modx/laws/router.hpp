// The laws of a router: weights are probabilities, top-k wakes k distinct experts and sorts tokens by them.
#pragma once
#include <modx/laws/module.hpp>

namespace modx::laws {

namespace detail {

/// Non-negative rows that sum to 1.
inline void probabilities(report& r, const std::string& what, const matrix<double>& p, double exact) {
  for (std::size_t t = 0; t < p.rows; ++t) {
    double sum = 0;
    for (const double w : p.row(t)) {
      if (!(w >= 0))
        throw error("law 'router: " + what + " are >= 0' at token " + std::to_string(t), ">= 0", to_text(w));
      sum += w;
    }
    compare(r, "router: " + what + " of a token sum to 1", "token " + std::to_string(t), 1, sum, exact);
  }
}

template <class B>
std::vector<std::int32_t> ids_of(const top_k_routing<B>& r) {
  std::vector<std::int32_t> id(r.weights.size());
  r.scores.backend().download(id.data(), r.ids, id.size() * sizeof id[0]);
  return id;
}

template <class B>
void values(report& r, const dense_routing<B>& found, std::size_t n, std::size_t e, double exact) {
  const auto p = found.weights.host();
  compare(r, "router: weights and logits are n x e", "logits", double(n * e), double(found.scores.size()), 0.5);
  compare(r, "router: weights and logits are n x e", "weights", double(n * e), double(p.data.size()), 0.5);
  compare(r, "router: experts() counts the experts", "experts()", double(e), double(found.experts()), 0.5);
  probabilities(r, "weights", p, exact);
}
template <class B>
void values(report& r, const top_k_routing<B>& found, std::size_t n, std::size_t e, double exact) {
  const auto all = found.all.host(), w = found.weights.host();
  const auto id = ids_of(found);
  const std::size_t k = w.cols;
  compare(r, "router: probabilities are n x e", "all", double(n * e), double(all.data.size()), 0.5);
  compare(r, "router: experts() counts the experts", "experts()", double(e), double(found.experts()), 0.5);
  compare(r, "router: weights are n x k", "weights", double(n * found.order.k), double(w.data.size()), 0.5);
  probabilities(r, "probabilities", all, exact);
  std::vector<std::int32_t> count(e + 1, 0);
  for (std::size_t t = 0; t < n; ++t) {
    const std::string where = "token " + std::to_string(t);
    double sum = 0;
    bool kept = true;
    for (std::size_t s = 0; s < k; ++s) {
      const auto i = id[t * k + s];
      if (i < 0 || std::size_t(i) >= e)
        throw error("law 'router: ids are experts' at " + where, "0 <= id < " + std::to_string(e), std::to_string(i));
      for (std::size_t earlier = 0; earlier < s; ++earlier)
        if (id[t * k + earlier] == i)
          throw error("law 'router: the ids of a token differ' at " + where, "k experts", std::to_string(i) + " twice");
      if (!(w(t, s) >= 0)) throw error("law 'router: weights are >= 0' at " + where, ">= 0", to_text(w(t, s)));
      sum += w(t, s);
      kept = kept && std::fabs(w(t, s) - all(t, std::size_t(i))) <= exact;
      ++count[std::size_t(i) + 1];
    }
    if (!kept) compare(r, "router: weights sum to 1, or are the chosen probabilities", where, 1, sum, exact);
  }
  for (std::size_t i = 0; i < e; ++i) count[i + 1] += count[i];
  for (std::size_t i = 0; i <= e; ++i)
    compare(r, "router: offsets count the tokens of each expert", "offset " + std::to_string(i), count[i],
            found.order.offsets[i], 0.5);
  std::vector<std::int32_t> position(n * k), source(n * k);
  auto& b = found.scores.backend();
  b.download(position.data(), found.order.position, position.size() * sizeof position[0]);
  b.download(source.data(), found.order.source, source.size() * sizeof source[0]);
  for (std::size_t i = 0; i < n * k; ++i) {
    const auto row = count[std::size_t(id[i])]++;  // stable: earlier tokens first
    compare(r, "router: tokens are sorted by expert, stably", "slot " + std::to_string(i), row, position[i], 0.5);
    compare(r, "router: source is the token of a row", "row " + std::to_string(row), double(i / k),
            source[std::size_t(row)], 0.5);
  }
}

/// Everything a routing says, as one tensor a function of which is checked: weights by expert, probabilities, logits.
template <class B>
var<B> functional(const dense_routing<B>& r, std::uint64_t seed) {
  auto& t = r.weights.on();
  const auto c = [&](const char* name, var<B> x) {
    return ops::multiply(x, t.input(draw(seed, name, x.rows(), x.cols())));
  };
  return ops::add(c("weights", r.weights), c("scores", r.scores));
}
template <class B>
var<B> functional(const top_k_routing<B>& r, std::uint64_t seed) {
  auto& t = r.weights.on();
  const std::size_t n = r.all.rows(), e = r.experts();
  const auto by_expert = t.input(draw(seed, "weights", n, e));
  const auto w = ops::multiply(r.weights, ops::gather_columns(by_expert, r.ids, r.order.k));
  const auto p = ops::multiply(r.all, t.input(draw(seed, "all", n, e)));
  const auto z = ops::multiply(r.scores, t.input(draw(seed, "scores", n, e)));
  return ops::add(ops::sum_rows(w), ops::sum_rows(ops::add(p, z)));
}

/// With equal logits the first k experts work.
template <class B>
void ties(report&, const dense_routing<B>&) {}
template <class B>
void ties(report& r, const top_k_routing<B>& found) {
  const auto z = found.scores.host();
  const auto id = ids_of(found);
  const std::size_t k = found.order.k;
  for (std::size_t t = 0; t < z.rows; ++t) {
    bool equal = true;
    for (const double s : z.row(t)) equal = equal && s == z(t, 0);
    for (std::size_t s = 0; equal && s < k; ++s)
      compare(r, "router: ties go to the lowest index", "token " + std::to_string(t), double(s), id[t * k + s], 0.5);
  }
}

}  // namespace detail

/// Weights >= 0 with rows that sum to 1 (or the chosen probabilities); k distinct ids, ties to the lowest; a stable
/// sort by expert; gradients of weights, probabilities and logits equal central differences.
template <Backend B, class S>
report of_router(B& backend, const S& spec, std::size_t width, std::size_t experts, options o = {}) {
  static_assert(check_router<S, B>());
  if (!o.domains) o.domains = experts;
  return retry(o, [&](std::uint64_t seed) {
    parameter_list<B> owned;
    builder<B> root(backend, owned, seed);
    const bound_t<S, B> router(root, spec, {width, experts});
    const auto list = pointers(owned);
    shake<B>(list, seed);
    const auto x = draw(seed, "input", o.tokens, width);
    report r;
    tape<B> t(backend);
    const auto route = [&](tape<B>& on, var<B> in) {
      give_context(on, in.rows(), o, seed);
      return router.route(in);
    };
    detail::values(r, route(t, t.input(x)), o.tokens, experts, o.exact);
    detail::values(r, route(t, t.input(matrix<double>(0, width))), 0, experts, o.exact);
    r += gradients("router: gradient equals central difference", backend, {argument("input", x)},
                   std::span<parameter<B>* const>(list),
                   [&](tape<B>& on, std::span<const var<B>> in) { return detail::functional(route(on, in[0]), seed); },
                   o, seed);
    for (auto* p : list) p->set(matrix<double>(p->rows(), p->cols()));
    t.reset();
    detail::ties(r, route(t, t.input(x)));
    return r;
  });
}

}  // namespace modx::laws
