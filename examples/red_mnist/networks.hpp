// The architectures of the benchmark, each a few lines of composition.
#pragma once
#include <modx/modx.hpp>

#include "data.hpp"

namespace red_mnist {

namespace m = modx::module;

/// conv 3x3 -> 32, ReLU, pool; conv 3x3 -> 64, ReLU, pool; linear -> hidden, ReLU.
inline auto encoder(std::size_t hidden) {
  return m::sequential(m::conv2d{.channels = 32, .padding = 1, .relu = true, .pool = 2},
                       m::conv2d{.channels = 64, .padding = 1, .relu = true, .pool = 2}, m::flatten{},
                       m::linear{.out = hidden, .act = modx::activation::relu});
}
/// The encoder under a base head: the first stage.
inline auto base_network(std::size_t hidden) { return m::sequential(encoder(hidden), m::linear{}); }

// [red]
/// z = B(h) + 0.1 sum_i alpha_i E_i(h): residual expert decomposition on the logits, as the authors' code does it.
inline auto red(std::size_t experts = domain_count) {
  return m::mixture{.base = m::linear{}, .experts = modx::expert::linear{}, .router = modx::router::softmax{},
                    .combiner = modx::combiner::residual{.scale = 0.1}, .n_experts = experts};
}
/// z = W_c (h + sum_i alpha_i V_i relu(U_i h)): on the hidden vector with one classifier, as the paper writes it.
inline auto red_hidden(std::size_t rank) {
  return m::sequential(m::mixture{.base = m::identity{}, .experts = modx::expert::low_rank{.rank = rank},
                                  .router = modx::router::softmax{}, .combiner = modx::combiner::residual{.scale = 1},
                                  .n_experts = domain_count},
                       m::linear{});
}
/// z = sum_i alpha_i E_i(h): the mixture of experts.
inline auto moe() {
  return m::mixture{.experts = modx::expert::linear{}, .router = modx::router::softmax{},
                    .combiner = modx::combiner::softmax{}, .n_experts = domain_count};
}
// [/red]
/// z = B(h) + 0.1 sum_i E_i(h).
inline auto all_fixed() {
  return m::mixture{.base = m::linear{}, .experts = modx::expert::linear{}, .router = modx::router::uniform{},
                    .combiner = modx::combiner::residual_sum{.scale = 0.1}, .n_experts = domain_count};
}
/// softmax z = 1/K sum_i softmax E_i(h).
inline auto uniform() {
  return m::mixture{.experts = modx::expert::linear{}, .router = modx::router::uniform{},
                    .combiner = modx::combiner::uniform{modx::combiner::uniform::average::softmaxes},
                    .n_experts = domain_count};
}
/// z = B(h) + 0.1 E_d(h), d the true domain.
inline auto oracle() {
  return m::mixture{.base = m::linear{}, .experts = modx::expert::linear{}, .router = modx::router::oracle{},
                    .combiner = modx::combiner::residual{.scale = 0.1}, .n_experts = domain_count};
}
/// Hidden width at which an MLP head has about as many parameters as base head, experts and router together.
inline std::size_t dense_hidden(std::size_t d) {
  const std::size_t budget = (d + 1) * (classes * (1 + domain_count) + domain_count);
  return std::max<std::size_t>(1, (budget - classes) / (d + 1 + classes));
}

/// The output of one expert in training: z = B(h) + 0.1 E_i(h).
inline auto base_and_expert(std::size_t i) {
  return [i](const auto& net, auto h) { return net.base(h) + 0.1 * net.expert(i, h); };
}
/// The router's scores, trained towards the domain.
inline constexpr auto router_scores = [](const auto& net, auto h) { return net.route(h).scores; };
inline constexpr auto whole = [](const auto& net, auto h) { return net.forward(h); };

}  // namespace red_mnist
