// The laws of mixtures: what must hold between a mixture, its parts and its relatives.
#pragma once
#include <modx/laws/module.hpp>
#include <modx/loss/mse.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>
#include <modx/router/top_k.hpp>

namespace modx::laws {

/// With k = e a top-k mixture equals the dense one with the same parameters: values and gradients.
template <Backend B, class Experts, class Combiner, class Base>
report all_awake(B& backend, const module::mixture<Experts, router::top_k, Combiner, Base>& spec, shape io,
                 const options& o = {}) {
  auto sparse_spec = spec;
  sparse_spec.router = {.k = spec.n_experts, .renormalize = true};
  const module::mixture<Experts, router::softmax, Combiner, Base> dense_spec{
      .base = spec.base, .experts = spec.experts, .combiner = spec.combiner, .n_experts = spec.n_experts};
  auto sparse = build(backend, sparse_spec, io, o.seed);
  auto dense = build(backend, dense_spec, io, o.seed);
  shake(sparse.parameters(), o.seed);
  copy_parameters(sparse, dense);
  const auto x = draw(o.seed, "input", o.tokens, io.in.size());
  const auto a = detail::gradients_of(dense, x, o, o.seed, 1), b = detail::gradients_of(sparse, x, o, o.seed, 1);
  report r;
  compare(r, "mixture: k = e equals the dense mixture", "output", detail::run(dense, x, o, o.seed, true),
          detail::run(sparse, x, o, o.seed, true), o.exact);
  for (std::size_t i = 0; i < a.size(); ++i)
    compare(r, "mixture: k = e equals the dense mixture", i ? "d " + dense.parameters()[i - 1]->name() : "d input",
            a[i], b[i], 10 * o.exact);
  return r;
}

/// Experts in another order, with their columns of the router, give the same output.  Couplings know their experts by
/// number, so the law is for coupling::none.
template <Backend B, class E, class R, class C, class Base>
report permuted_experts(B& backend, const module::mixture<E, R, C, Base>& spec, shape io, const options& o = {}) {
  const std::size_t e = spec.n_experts;
  auto m = build(backend, spec, io, o.seed), turned = build(backend, spec, io, o.seed);
  shake(m.parameters(), o.seed);
  const auto from = [e](std::size_t i) { return (i + 1) % e; };  // expert i of `turned` is expert from(i) of m
  for (auto* p : turned.parameters()) {
    const std::string& name = p->name();
    auto value = m.find(name).host();
    if (name.starts_with("experts.")) {
      const std::size_t dot = name.find('.', 8);
      value = m.find("experts." + std::to_string(from(std::stoul(name.substr(8, dot - 8)))) + name.substr(dot)).host();
    } else if constexpr (requires { R::expert_columns; }) {
      for (const char* column : R::expert_columns)
        if (name == std::string("router.") + column) {
          const auto old = value;
          for (std::size_t i = 0; i < value.data.size(); ++i) value.data[i] = old(i / e, from(i % e));
        }
    }
    p->set(value);
  }
  auto& t = turned.tape_of_step();
  const auto x = draw(o.seed, "input", o.tokens, io.in.size());
  auto id = draw_ids(o.seed, "domains", o.tokens, o.domains ? o.domains : 1);
  for (auto& d : id) d = std::int32_t((std::size_t(d) + e - 1) % e);
  t.reset();
  if (o.domains) t.context.domain = t.input(ids(id)), t.context.domain_count = id.size();
  const auto y = turned.forward(t.input(x.data, x.rows, io.in)).host();
  report r;
  compare(r, "mixture: experts in another order, with their gates, give the same output", "output",
          detail::run(m, x, o, o.seed, true), y, o.exact);
  return r;
}

/// A mixture of one expert is that expert; for combiners of weights that sum to 1, without base.
template <Backend B, class E, class R, class C>
report one_expert(B& backend, module::mixture<E, R, C> spec, shape io, options o = {}) {
  spec.n_experts = 1;
  o.domains = 1;
  auto m = build(backend, spec, io, o.seed);
  shake(m.parameters(), o.seed);
  const auto x = draw(o.seed, "input", o.tokens, io.in.size());
  tape<B> t(backend);
  report r;
  compare(r, "mixture: one expert is that expert", "output", m.bound().expert(0, t.input(x)).host(),
          detail::run(m, x, o, o.seed, true), o.exact);
  return r;
}

/// A residual combiner of scale 0 leaves the base, bit for bit.
template <Backend B, class Mixture>
report zero_scale(B& backend, Mixture spec, shape io, const options& o = {}) {
  static_assert(requires { spec.combiner.scale; }, "modx: zero_scale is a law of combiners with a scale");
  spec.combiner.scale = 0;
  auto m = build(backend, spec, io, o.seed);
  shake(m.parameters(), o.seed);
  const auto x = draw(o.seed, "input", o.tokens, io.in.size());
  tape<B> t(backend);
  report r;
  compare(r, "mixture: residual scale 0 leaves the base", "output",
          m.bound().base(t.input(x.data, x.rows, io.in)).host(), detail::run(m, x, o, o.seed, true), 0);
  return r;
}

/// A batch twice over leaves the gradients of a mean loss (here: mse + `extra`) unchanged.
template <Backend B, class S, class... Extra>
report repeated_batch(B& backend, const S& spec, shape io, const options& o = {}, const Extra&... extra) {
  auto m = build(backend, spec, io, o.seed);
  shake(m.parameters(), o.seed);
  const auto x = draw(o.seed, "input", o.tokens, io.in.size());
  const auto id = draw_ids(o.seed, "domains", o.tokens, o.domains ? o.domains : 1);
  auto& t = m.tape_of_step();
  const auto gradients = [&](std::size_t repeats) {
    std::vector<double> rows, wanted;
    std::vector<std::int32_t> domain;
    for (std::size_t i = 0; i < repeats; ++i) {
      rows.insert(rows.end(), x.data.begin(), x.data.end());
      domain.insert(domain.end(), id.begin(), id.end());
    }
    const std::size_t n = repeats * o.tokens;
    t.reset();
    if (o.domains) t.context.domain = t.input(ids(domain)), t.context.domain_count = n;
    const auto y = m.forward(t.input(rows, n, io.in));
    const auto target = draw(o.seed, "target", o.tokens, y.cols());
    for (std::size_t i = 0; i < repeats; ++i) wanted.insert(wanted.end(), target.data.begin(), target.data.end());
    const auto goal = t.input(wanted, n, y.cols());
    auto loss = loss::mse{}(y, goal);
    ((loss = loss + extra(y, goal)), ...);
    for (auto* p : m.parameters()) p->gradient_is_fresh = true;
    t.backward(loss);
    std::vector<matrix<double>> out;
    for (auto* p : m.parameters()) {
      out.emplace_back(p->rows(), p->cols());
      if (p->gradient()) backend.download(out.back().data.data(), p->gradient(), p->size() * sizeof(double));
    }
    t.reset();
    return out;
  };
  const auto once = gradients(1), twice = gradients(2);
  report r;
  for (std::size_t i = 0; i < once.size(); ++i)
    compare(r, "mixture: a batch twice over has the same mean gradient", "d " + m.parameters()[i]->name(), once[i],
            twice[i], o.exact);
  return r;
}

/// An expert that no token wakes gets a gradient of exactly 0.  Its gate is closed by a router bias of -1e9.
template <Backend B, class E, class C, class Base>
report idle_expert(B& backend, const module::mixture<E, router::top_k, C, Base>& spec, shape io,
                   const options& o = {}) {
  if (spec.router.k >= spec.n_experts)
    throw error("laws::idle_expert", "k < " + std::to_string(spec.n_experts), std::to_string(spec.router.k));
  const std::size_t idle = spec.n_experts / 2;
  const std::string prefix = "experts." + std::to_string(idle) + ".";
  auto m = build(backend, spec, io, o.seed);
  shake(m.parameters(), o.seed);
  auto gates = m.find("router.bias").host();
  gates(0, idle) = -1e9;
  m.find("router.bias").set(gates);
  const auto x = draw(o.seed, "input", o.tokens, io.in.size());
  const auto g = detail::gradients_of(m, x, o, o.seed, 1);
  report r;
  for (std::size_t i = 1; i < g.size(); ++i) {
    const auto* p = m.parameters()[i - 1];
    if (p->name().starts_with(prefix))
      compare(r, "mixture: an expert without tokens gets gradient 0", "d " + p->name(),
              matrix<double>(p->rows(), p->cols()), g[i], 0);
  }
  compare(r, "mixture: an expert's parameters are called experts.<i>....", prefix, 1, r.numbers > 0 ? 1 : 0, 0.5);
  return r;
}

/// The module laws and every law above that holds for any mixture of this kind.
template <Backend B, class E, class R, class C, class Base, class Coupling>
report of_mixture(B& backend, const module::mixture<E, R, C, Base, Coupling>& spec, shape io, options o = {}) {
  if (!o.domains) o.domains = spec.n_experts;
  report r = of_module(backend, spec, io, o);
  r += repeated_batch(backend, spec, io, o);
  if constexpr (std::same_as<Coupling, coupling::none>) {
    r += permuted_experts(backend, spec, io, o);
    if constexpr (std::same_as<R, router::top_k>) {
      r += all_awake(backend, spec, io, o);
      if (spec.router.k < spec.n_experts) r += idle_expert(backend, spec, io, o);
    }
  }
  return r;
}

}  // namespace modx::laws
