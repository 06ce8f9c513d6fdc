// The laws of an expert: those of a module, and a bank of e that equals e single experts.
#pragma once
#include <modx/expert/bank.hpp>
#include <modx/laws/module.hpp>

namespace modx::laws {

namespace detail {

/// A bank and single experts with the same parameters.
template <class S, Backend B>
struct bank_pair {
  parameter_list<B> of_bank, of_singles;
  std::vector<parameter<B>*> list;
  expert::bank_t<S, B> bank;
  std::vector<bound_t<S, B>> singles;

  static expert::bank_t<S, B> make(B& backend, parameter_list<B>& owned, const S& spec, shape io, std::size_t e,
                                   std::uint64_t seed) {
    builder<B> root(backend, owned, seed);
    return expert::bank_t<S, B>(root, spec, io, e);
  }
  bank_pair(B& backend, const S& spec, shape io, std::size_t e, std::uint64_t seed)
      : bank(make(backend, of_bank, spec, io, e, seed)) {
    list = pointers(of_bank);
    shake<B>(list, seed);
    builder<B> root(backend, of_singles, seed);
    singles.reserve(e);
    for (std::size_t i = 0; i < e; ++i) {
      auto own = root.scope(i);
      singles.emplace_back(own, spec, io);
    }
    if (of_singles.size() != of_bank.size())
      throw error("law 'bank: has the parameters of its experts'", std::to_string(of_singles.size()),
                  std::to_string(of_bank.size()));
    for (auto& p : of_singles) {
      const parameter<B>* same = nullptr;
      for (const auto& q : of_bank)
        if (q->name() == p->name()) same = q.get();
      if (!same) throw error("law 'bank: has the parameters of its experts'", "'" + p->name() + "'", "none");
      p->set(same->host());
    }
  }
};

}  // namespace detail

/// Rows of x that each of e experts gets in the suite, in order; the second gets none.
inline std::vector<std::int32_t> uneven_offsets(std::size_t rows, std::size_t e) {
  std::vector<std::int32_t> offsets(e + 1, std::int32_t(rows));
  offsets[0] = 0;
  const std::size_t busy = e > 1 ? e - 1 : 1;
  for (std::size_t i = 1, at = 0; i < e; ++i) {
    if (i != 2) at += (rows + busy - 1) / busy;
    offsets[i] = std::int32_t(at < rows ? at : rows);
  }
  return offsets;
}

/// The expert as a module; its bank equals single experts, shared and sorted (with an expert that gets no token).
template <Backend B, class S>
report of_expert(B& backend, const S& spec, shape io, std::size_t experts, const options& o = {}) {
  report r = of_module(backend, spec, io, o);
  r += retry(o, [&](std::uint64_t seed) {
    detail::bank_pair<S, B> pair(backend, spec, io, experts, seed);
    const auto x = draw(seed, "input", o.tokens, io.in.size());
    const auto offsets = uneven_offsets(o.tokens, experts);
    report own;
    compare(own, "bank: size() is the number of experts", "size", double(experts), double(pair.bank.size()), 0.5);

    tape<B> t(backend);
    const auto in = t.input(x);
    const auto shared = pair.bank.forward({in, nullptr}).host();
    const auto sorted = pair.bank.forward({in, offsets.data()}).host();
    matrix<double> all(o.tokens, experts * io.out.size()), chosen(o.tokens, io.out.size());
    for (std::size_t e = 0; e < experts; ++e) {
      const auto y = pair.singles[e].forward(in).host(), one = pair.bank.one(e, in).host();
      compare(own, "bank: one(i, x) is expert i", "expert " + std::to_string(e), y, one, o.exact);
      for (std::size_t n = 0; n < o.tokens; ++n)
        for (std::size_t j = 0; j < io.out.size(); ++j) {
          all(n, e * io.out.size() + j) = y(n, j);
          if (n >= std::size_t(offsets[e]) && n < std::size_t(offsets[e + 1])) chosen(n, j) = y(n, j);
        }
    }
    compare(own, "bank: shared tokens give every expert's output", "output", all, shared, o.exact);
    compare(own, "bank: sorted tokens give their own expert's output", "output", chosen, sorted, o.exact);

    own += gradients("bank, shared tokens: gradient equals central difference", backend, {argument("input", x)},
                     std::span<parameter<B>* const>(pair.list),
                     [&](tape<B>&, std::span<const var<B>> v) { return pair.bank.forward({v[0], nullptr}); }, o, seed);
    own += gradients("bank, sorted tokens: gradient equals central difference", backend, {argument("input", x)},
                     std::span<parameter<B>* const>(pair.list),
                     [&](tape<B>&, std::span<const var<B>> v) { return pair.bank.forward({v[0], offsets.data()}); }, o,
                     seed);
    return own;
  });
  return r;
}

}  // namespace modx::laws
