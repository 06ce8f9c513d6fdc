// h_i <- h_i + GELU(m_i W_n + b_n + h_i W_s + b_s),  m_i = sum_{j != i} A_ij g_ij h_j: `layers` times.
// A = sigmoid(adjacency), e x e and directed; g_ij = sigmoid(w . [h_i; h_j] + b).   h_i: 1 x m, for each
// token. The message passing of GNN-MoE's first version (2025).
#pragma once
#include <modx/concepts.hpp>
#include <modx/ops/residual.hpp>
#include <vector>

namespace modx::coupling {

struct graph {
  std::size_t layers = 2;
  bool operator==(const graph&) const = default;

  template <Backend B>
  class bound {
    using T = typename B::scalar;
    struct layer {
      parameter<B>* adjacency = nullptr;  // e x e, the diagonal is not used
      parameter<B>* gate = nullptr;       // m x 2: the half of w for h_i, the half for h_j
      parameter<B>* gate_bias = nullptr;  // 1 x 1
      parameter<B>*neighbours = nullptr, *neighbours_bias = nullptr;
      parameter<B>*self = nullptr, *self_bias = nullptr;
    };
    std::vector<layer> layers_;
    std::size_t experts_, width_;
    matrix<T> pairs_;  // 2e x e^2: row 2i to every (i, j), row 2j + 1 to every (i, j)

   public:
    bound(builder<B>& b, const graph& s, std::size_t experts, std::size_t width)
        : experts_(experts), width_(width), pairs_(2 * experts, experts * experts) {
      expect_positive("coupling::graph", "layers", static_cast<long long>(s.layers));
      const auto weight = init::normal(0.02);
      for (std::size_t l = 0; l < s.layers; ++l) {
        auto own = b.scope(l);
        layer p;
        if (experts > 1) {  // alone, an expert hears nobody
          p.adjacency = &own.make("adjacency", experts, experts, init::normal(1));
          p.gate = &own.make("gate.weight", width, 2, weight);
          p.gate_bias = &own.make("gate.bias", 1, 1, init::zeros());
          p.neighbours = &own.make("neighbours.weight", width, width, weight);
          p.neighbours_bias = &own.make("neighbours.bias", 1, width, init::zeros());
        }
        p.self = &own.make("self.weight", width, width, weight);
        p.self_bias = &own.make("self.bias", 1, width, init::zeros());
        layers_.push_back(p);
      }
      for (std::size_t i = 0; i < experts; ++i)
        for (std::size_t j = 0; j < experts; ++j)
          pairs_(2 * i, i * experts + j) = pairs_(2 * j + 1, i * experts + j) = 1;
    }

    outputs<B> couple(const outputs<B>& y) const { return couple(y, {}); }
    /// What expert j says is scaled by presence[j], where there is one: at 0 nobody hears it.
    outputs<B> couple(const outputs<B>& y, std::span<const T> presence) const {
      expect_equal("coupling::graph", "experts", experts_, y.experts);
      expect_equal("coupling::graph", "columns of an output", width_, y.width());
      if (!presence.empty()) expect_equal("coupling::graph", "presences", experts_, presence.size());
      auto& t = y.y.on();
      const std::size_t n = y.tokens(), e = experts_;
      T* loud = t.template host<T>(e * e);
      for (std::size_t i = 0; i < e; ++i)
        for (std::size_t j = 0; j < e; ++j)
          loud[i * e + j] = i == j ? T(0) : presence.empty() ? T(1) : presence[j];
      const auto heard = t.input(std::span<const T>(loud, e * e), e, e);
      const auto pairs = t.input(pairs_);
      auto h = ops::reshape(y.y, n * e, width_);  // a row for each expert of each token
      for (const auto& p : layers_) {
        const auto self = t.use(*p.self), self_bias = t.use(*p.self_bias);
        if (e == 1) {
          h = ops::add_linear(h, h, self, self_bias, activation::gelu);
          continue;
        }
        const outputs<B> said{ops::reshape(h, n, e * width_), e};
        const auto m =
            ops::reshape(ops::mix_experts(coefficients(p, h, heard, pairs), said).y, n * e, width_);
        h = ops::add_linear(h, h, self, m, t.use(*p.neighbours), self_bias + t.use(*p.neighbours_bias),
                            activation::gelu);
      }
      return {ops::reshape(h, n, e * width_), e};
    }

   private:
    /// A_ij g_ij for each token, 0 for i = j: n x e^2.
    var<B> coefficients(const layer& p, var<B> h, var<B> heard, var<B> pairs) const {
      auto& t = h.on();
      const std::size_t e = experts_, n = h.rows() / e;
      const auto halves = ops::reshape(ops::matmul(h, t.use(*p.gate)), n, 2 * e);
      const auto bias = ops::matmul(t.use(*p.gate_bias), t.constant(1, e * e, 1));
      const auto gates = ops::sigmoid(ops::linear(halves, pairs, bias));
      const auto a = ops::reshape(ops::sigmoid(t.use(*p.adjacency)) * heard, 1, e * e);
      return gates * ops::add_row(t.constant(n, e * e, 0), a);
    }
  };
};

}  // namespace modx::coupling
