// The laws of a module: true gradients, and the same values however it is called.
#pragma once
#include <modx/laws/gradient.hpp>

namespace modx::laws {

/// What a step knows besides its input: domain ids below o.domains, drawn from the seed, and sequences.
template <class B>
void give_context(tape<B>& t, std::size_t tokens, const options& o, std::uint64_t seed) {
  if (o.sequences) {
    const std::size_t lengths[] = {tokens / 2, tokens - tokens / 2};
    t.context.sequence = t.sequences_of(lengths);
  }
  if (!o.domains) return;
  const auto id = draw_ids(seed, "domains", tokens, o.domains);
  t.context.domain = t.input(ids(id));
  t.context.domain_count = tokens;
}

namespace detail {

/// forward(x) as a host matrix.
template <class M, class B = typename M::backend_type>
matrix<double> run(M& m, const matrix<double>& x, const options& o, std::uint64_t seed, bool recorded) {
  auto& t = m.tape_of_step();
  t.reset();
  t.record_operations(recorded);
  give_context(t, x.rows, o, seed);
  auto y = m.forward(t.input(x.data, x.rows, m.io().in)).host();
  t.record_operations(true);
  t.reset();
  return y;
}

/// Gradients of <c, forward(x)>, `passes` times over without an update: those of x, then of each parameter.
template <class M, class B = typename M::backend_type>
std::vector<matrix<double>> gradients_of(M& m, const matrix<double>& x, const options& o, std::uint64_t seed,
                                         int passes) {
  auto& t = m.tape_of_step();
  std::vector<matrix<double>> out{matrix<double>(x.rows, x.cols)};
  for (auto* p : m.parameters()) p->gradient_is_fresh = true;
  for (int i = 0; i < passes; ++i) {
    t.reset();
    give_context(t, x.rows, o, seed);
    const auto input = t.input(x.data, x.rows, m.io().in, true);
    const auto y = m.forward(input);
    const auto loss = ops::sum(ops::multiply(y, t.input(draw(seed, "functional", y.rows(), y.cols()))));
    if (loss.needs_gradient()) t.backward(loss);
    if (input.has_gradient())
      m.backend().download(out[0].data.data(), input.gradient(), x.data.size() * sizeof(double));
  }
  for (auto* p : m.parameters()) {
    out.emplace_back(p->rows(), p->cols());
    if (p->gradient()) m.backend().download(out.back().data.data(), p->gradient(), p->size() * sizeof(double));
  }
  t.reset();
  return out;
}

/// Widths, repeatability, recording off, an empty batch, accumulation and freezing.
template <class M>
void calls(report& r, M& m, const matrix<double>& x, const options& o, std::uint64_t seed) {
  const auto y = run(m, x, o, seed, true);
  if (m.io().out.size() && y.cols != m.io().out.size())
    throw error("law 'module: output has the width of the shape' is broken", std::to_string(m.io().out.size()),
                std::to_string(y.cols));
  compare(r, "module: one row out for each row in", "rows", double(x.rows), double(y.rows), 0.5);
  compare(r, "module: same input, same bits", "output", y, run(m, x, o, seed, true), 0);
  compare(r, "module: recording off changes nothing", "output", y, run(m, x, o, seed, false), 0);
  compare(r, "module: an empty batch gives an empty output", "output", matrix<double>(0, y.cols),
          run(m, matrix<double>(0, x.cols), o, seed, true), 0);

  const auto once = gradients_of(m, x, o, seed, 1), twice = gradients_of(m, x, o, seed, 2);
  for (std::size_t i = 0; i < once.size(); ++i) {
    auto expected = once[i];
    if (i > 0)
      for (double& g : expected.data) g *= 2;
    compare(r, "module: a second backward pass adds the same gradient",
            i ? "d " + m.parameters()[i - 1]->name() : "d input", expected, twice[i], o.exact);
  }
  for (auto* p : m.parameters()) p->set_trainable(false);
  const auto frozen = gradients_of(m, x, o, seed, 1);
  for (std::size_t i = 0; i < once.size(); ++i)
    compare(r, "module: frozen parameters get no gradient, the input the same",
            i ? "d " + m.parameters()[i - 1]->name() : "d input",
            i ? matrix<double>(once[i].rows, once[i].cols) : once[0], frozen[i], o.exact);
  for (auto* p : m.parameters()) p->set_trainable(true);
}

}  // namespace detail

/// Gradients of the input and every parameter equal central differences; the same input gives the same bits,
/// recorded or not; an empty batch passes; gradients add up; frozen parameters get none.
template <Backend B, class S>
report of_module(B& backend, const S& spec, shape io, const options& o = {}) {
  static_assert(check_module<S, B>());
  return retry(o, [&](std::uint64_t seed) {
    auto m = build(backend, spec, io, seed);
    shake(m.parameters(), seed);
    const auto x = draw(seed, "input", o.tokens, io.in.size());
    report r = gradients(
        "module: gradient equals central difference", backend, {argument("input", x, io.in)}, m.parameters(),
        [&](tape<B>& t, std::span<const var<B>> in) {
          give_context(t, o.tokens, o, seed);
          return m.forward(in[0]);
        },
        o, seed);
    detail::calls(r, m, x, o, seed);
    return r;
  });
}

}  // namespace modx::laws
