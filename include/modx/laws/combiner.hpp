// The laws of a combiner: true gradients towards base, outputs, weights, logits and its parameters, and no token seen by
// another.
#pragma once
#include <modx/laws/module.hpp>

namespace modx::laws {

namespace detail {

/// combine() with whatever it takes.
template <class C, class B, class Y, class R>
var<B> call(const C& c, var<B> base, const Y& y, const R& r) {
  if constexpr (CombinesDomains<C, B, Y>) {
    return c.combine(y, domains("combiner", base));
  } else if constexpr (CombinesBase<C, B, Y, R>) {
    return c.combine(base, y, r);
  } else {
    return c.combine(y, r);
  }
}

/// The combiner at work: its bound<B>, with its parameters in the builder's list, or itself.
template <class B, class C>
combiner_t<C, B> bound_combiner(builder<B> b, const C& c, std::size_t width) {
  if constexpr (BindsToWidth<C, B>) {
    return combiner_t<C, B>(b, c, width);
  } else {
    return c;
  }
}
/// The suite's inputs: base n x m, outputs n x (e m), logits n x w and their softmax, w = e or k.
inline std::vector<argument> combiner_inputs(std::uint64_t seed, std::size_t n, std::size_t m, std::size_t columns,
                                             std::size_t rows, std::size_t w) {
  auto scores = draw(seed, "scores", n, w);
  auto weights = scores;
  for (std::size_t t = 0; t < n; ++t) {
    double sum = 0;
    for (double& p : weights.row(t)) sum += p = std::exp(p);
    for (double& p : weights.row(t)) p /= sum;
  }
  return {argument("base", draw(seed, "base", n, m)), argument("outputs", draw(seed, "outputs", rows, columns)),
          argument("scores", std::move(scores)), argument("weights", std::move(weights))};
}

/// combine() as a function of those inputs.
template <class C>
auto combine_dense(const C& c, std::size_t e, const options& o, std::uint64_t seed) {
  return [&c, e, o, seed]<class B>(tape<B>& t, std::span<const var<B>> in) {
    give_context(t, in[0].rows(), o, seed);
    return call(c, in[0], outputs<B>{in[1], e}, dense_routing<B>{{in[2]}, {in[3]}});
  };
}
template <class C>
auto combine_slots(const C& c, std::size_t e, std::size_t k, std::uint64_t seed) {
  return [&c, e, k, seed]<class B>(tape<B>& t, std::span<const var<B>> in) {
    const auto scores = t.input(draw(seed, "slots", in[0].rows(), e));
    const auto* id = ops::top_k(scores, k);
    const auto order = ops::sort_by_expert(t, id, in[0].rows(), k, e);
    return call(c, in[0], slot_outputs<B>{in[1], order},
                top_k_routing<B>{{scores}, {ops::softmax_rows(scores)}, {in[3]}, id, order});
  };
}

/// Token 0 changes: the others' results keep their bits.
template <class B, class F>
void separate_tokens(report& r, const std::string& law, B& backend, std::vector<argument> in, std::size_t columns,
                     F&& f) {
  const auto at = [&] {
    tape<B> t(backend);
    std::vector<var<B>> v;
    for (const auto& a : in) v.push_back(t.input(a.value.data, a.value.rows, a.columns));
    return f(t, std::span<const var<B>>(v)).host();
  };
  auto before = at();
  compare(r, law + ": n x m out", "columns", double(columns), double(before.cols), 0.5);
  for (auto& a : in)
    for (double& x : a.value.row(0)) x = 0.5 * x + 0.25;
  auto after = at();
  for (std::size_t j = 0; j < before.cols; ++j) before(0, j) = after(0, j) = 0;
  compare(r, law + ": a token changes no other token's result", "output", before, after, 0);
}

}  // namespace detail

/// Dense form: gradients, n x m out, tokens kept apart.  Runs the slot form too where the combiner has one.
template <Backend B, class C>
report of_combiner(B& backend, const C& combiner, std::size_t experts, std::size_t width, options o = {}) {
  if (!o.domains) o.domains = experts;
  using dense = dense_routing<B>;
  using sparse = top_k_routing<B>;
  constexpr bool takes_slots =
      CombinesBase<C, B, slot_outputs<B>, sparse> || CombinesOutputs<C, B, slot_outputs<B>, sparse>;
  constexpr bool takes_all = Combiner<C, B, outputs<B>, dense>;
  static_assert(takes_all || takes_slots,
                "modx: a Combiner needs  modx::var<B> combine([modx::var<B> base,] y, r) const");
  const std::size_t n = o.tokens, m = width;
  return retry(o, [&](std::uint64_t seed) {
    report r;
    parameter_list<B> owned;
    const auto combine = detail::bound_combiner(builder<B>(backend, owned, seed), combiner, m);
    const auto list = pointers(owned);
    shake<B>(list, seed);
    const std::span<parameter<B>* const> parameters(list);
    if constexpr (takes_all) {
      const auto in = detail::combiner_inputs(seed, n, m, experts * m, n, experts);
      const auto f = detail::combine_dense(combine, experts, o, seed);
      r += gradients("combiner: gradient equals central difference", backend, in, parameters, f, o, seed);
      detail::separate_tokens(r, "combiner", backend, in, m, f);
    }
    if constexpr (takes_slots) {
      const std::size_t k = (experts + 1) / 2;
      const auto in = detail::combiner_inputs(seed, n, m, m, n * k, k);
      const auto f = detail::combine_slots(combine, experts, k, seed);
      r += gradients("combiner, slots: gradient equals central difference", backend, in, parameters, f, o, seed);
      tape<B> t(backend);
      std::vector<var<B>> v;
      for (const auto& a : in) v.push_back(t.input(a.value));
      const auto y = f(t, std::span<const var<B>>(v));
      compare(r, "combiner, slots: n x m out", "columns", double(m), double(y.cols()), 0.5);
    }
    return r;
  });
}

}  // namespace modx::laws
