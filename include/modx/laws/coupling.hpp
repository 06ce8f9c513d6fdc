// The laws of a coupling: n x e x m to n x e x m with true gradients, per token.
#pragma once
#include <modx/laws/combiner.hpp>

namespace modx::laws {

/// Shape kept, gradients towards outputs and parameters, tokens kept apart.
template <Backend B, class S>
report of_coupling(B& backend, const S& spec, std::size_t experts, std::size_t width, const options& o = {}) {
  static_assert(check_coupling<S, B, outputs<B>>());
  return retry(o, [&](std::uint64_t seed) {
    parameter_list<B> owned;
    builder<B> root(backend, owned, seed);
    const bound_t<S, B> coupling(root, spec, experts, width);
    const auto list = pointers(owned);
    shake<B>(list, seed);
    const std::vector<argument> in = {argument("outputs", draw(seed, "outputs", o.tokens, experts * width))};
    const auto f = [&](tape<B>&, std::span<const var<B>> v) {
      const auto z = coupling.couple(outputs<B>{v[0], experts});
      expect_equal("law 'coupling: keeps the experts'", "experts", experts, z.experts);
      return z.y;
    };
    report r = gradients("coupling: gradient equals central difference", backend, in,
                         std::span<parameter<B>* const>(list), f, o, seed);
    detail::separate_tokens(r, "coupling", backend, in, experts * width, f);
    return r;
  });
}

}  // namespace modx::laws
