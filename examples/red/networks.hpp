// The architectures of the benchmarks, each a few lines of composition; what heads and experts are made of is the caller's.
#pragma once
#include <modx/modx.hpp>

#include "task.hpp"

namespace red {

namespace m = modx::module;

/// A head B, an expert E_i, and how many of those there are.
template <class Head = m::linear, class Expert = modx::expert::linear>
struct parts {
  Head head{};
  Expert expert{};
  std::size_t experts = 0;
};

// [red]
/// z = B(h) + 0.1 sum_i alpha_i E_i(h): residual expert decomposition on the logits, as the authors' code does it.
template <class P>
auto red(const P& p) {
  return m::mixture{.base = p.head, .experts = p.expert, .router = modx::router::softmax{},
                    .combiner = modx::combiner::residual{.scale = 0.1}, .n_experts = p.experts};
}
/// z = W_c (h + sum_i alpha_i V_i relu(U_i h)): on the hidden vector with one classifier, as the paper writes it.
template <class P>
auto red_hidden(const P& p, std::size_t rank) {
  return m::sequential(m::mixture{.base = m::identity{}, .experts = modx::expert::low_rank{.rank = rank},
                                  .router = modx::router::softmax{}, .combiner = modx::combiner::residual{.scale = 1},
                                  .n_experts = p.experts},
                       p.head);
}
/// z = sum_i alpha_i E_i(h): the mixture of experts.
template <class P>
auto moe(const P& p) {
  return m::mixture{.experts = p.expert, .router = modx::router::softmax{}, .combiner = modx::combiner::softmax{},
                    .n_experts = p.experts};
}
// [/red]
/// z = B(h) + 0.1 sum_i E_i(h).
template <class P>
auto all_fixed(const P& p) {
  return m::mixture{.base = p.head, .experts = p.expert, .router = modx::router::uniform{},
                    .combiner = modx::combiner::residual_sum{.scale = 0.1}, .n_experts = p.experts};
}
/// softmax z = 1/K sum_i softmax E_i(h).
template <class P>
auto uniform(const P& p) {
  return m::mixture{.experts = p.expert, .router = modx::router::uniform{},
                    .combiner = modx::combiner::uniform{modx::combiner::uniform::average::softmaxes},
                    .n_experts = p.experts};
}
/// z = B(h) + 0.1 E_d(h), d the true domain.
template <class P>
auto oracle(const P& p) {
  return m::mixture{.base = p.head, .experts = p.expert, .router = modx::router::oracle{},
                    .combiner = modx::combiner::residual{.scale = 0.1}, .n_experts = p.experts};
}
/// Hidden width at which an MLP head on d features has about `budget` parameters.
inline std::size_t dense_hidden(std::size_t budget, std::size_t d, std::size_t classes) {
  return std::max<std::size_t>(1, (budget - classes) / (d + 1 + classes));
}

/// The output of one expert in training: z = B(h) + 0.1 E_i(h).
inline auto base_and_expert(std::size_t i) {
  return [i](const auto& net, auto h) { return net.base(h) + 0.1 * net.expert(i, h); };
}
/// The router's scores, trained towards the domain.
inline constexpr auto router_scores = [](const auto& net, auto h) { return net.route(h).scores; };
inline constexpr auto whole = [](const auto& net, auto h) { return net.forward(h); };

}  // namespace red
