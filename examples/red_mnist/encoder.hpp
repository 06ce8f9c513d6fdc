// The encoder of the MNIST benchmark.
#pragma once
#include "../red/networks.hpp"

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

}  // namespace red_mnist
