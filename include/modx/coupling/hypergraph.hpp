// h <- h + GELU(P h W + b): `layers` times.   h: e x m for each token, W: m x m, P: e x e.
// P = D^-1 H diag(w) B^-1 H^T: H says which expert is in which hyperedge, B how many are; w =
// softplus(weights) > 0, D_i = sum of w over i's hyperedges.   Hypergraph convolution (Bai et al. 2021),
// described by HGNN-MoE (2025).
#pragma once
#include <modx/concepts.hpp>
#include <modx/ops/residual.hpp>
#include <vector>

namespace modx::coupling {

struct hypergraph {
  enum class kind { pairs, triplets, all, custom } edges = kind::pairs;
  std::vector<std::vector<std::size_t>> custom{};  // the hyperedges of kind::custom: lists of experts
  std::size_t layers = 2;
  bool learn_weights = true;
  bool operator==(const hypergraph&) const = default;

  /// The hyperedges among `experts`, in lexicographic order.
  std::vector<std::vector<std::size_t>> hyperedges(std::size_t experts) const;

  template <Backend B>
  class bound {
    using T = typename B::scalar;
    struct layer {
      parameter<B>*weight, *bias;
    };
    std::vector<layer> layers_;
    parameter<B>* weights_ = nullptr;
    std::vector<std::vector<std::size_t>> edges_;
    std::size_t experts_, width_;
    bool fades_;  // a hyperedge is there as far as all its experts are (all: with the experts that are there)
    matrix<T> incidence_;  // H: e x edges

   public:
    bound(builder<B>& b, const hypergraph& s, std::size_t experts, std::size_t width)
        : edges_(s.hyperedges(experts)),
          experts_(experts),
          width_(width),
          fades_(s.edges != kind::all),
          incidence_(experts, edges_.size()) {
      expect_positive("coupling::hypergraph", "layers", static_cast<long long>(s.layers));
      bool shared = false;  // D cancels the weight of an expert's only hyperedge
      std::vector<int> degree(experts);
      for (std::size_t q = 0; q < edges_.size(); ++q)
        for (const std::size_t i : edges_[q]) incidence_(i, q) = 1, shared = ++degree[i] > 1 || shared;
      if (s.learn_weights && shared) weights_ = &b.make("weights", edges_.size(), 1, init::normal(1));
      for (std::size_t l = 0; l < s.layers; ++l) {
        auto own = b.scope(l);
        layer p;  // Glorot's start
        p.weight =
            &own.make("weight", width, width, init::uniform(std::sqrt(3.0 / double(width ? width : 1))));
        p.bias = &own.make("bias", 1, width, init::zeros());
        layers_.push_back(p);
      }
    }

    outputs<B> couple(const outputs<B>& y) const { return couple(y, {}); }
    /// With presence of each expert in [0, 1]: at 0 and 1 it is the operator of the hyperedges among those
    /// present.
    outputs<B> couple(const outputs<B>& y, std::span<const T> presence) const {
      expect_equal("coupling::hypergraph", "experts", experts_, y.experts);
      expect_equal("coupling::hypergraph", "columns of an output", width_, y.width());
      const std::size_t n = y.tokens(), e = experts_;
      auto& t = y.y.on();
      const auto p = propagation(t, presence);
      auto h = ops::reshape(y.y, n * e, width_);  // a row for each expert of each token
      for (const auto& l : layers_) {
        const auto heard = ops::mix_experts(p, outputs<B>{ops::reshape(h, n, e * width_), e}).y;
        h = ops::add_linear(h, ops::reshape(heard, n * e, width_), t.use(*l.weight), t.use(*l.bias),
                            activation::gelu);
      }
      return {ops::reshape(h, n, e * width_), e};
    }
    /// P, e x e; the row of an expert in no hyperedge is 0.
    var<B> propagation(tape<B>& t, std::span<const T> presence = {}) const {
      if (!presence.empty()) expect_equal("coupling::hypergraph", "presences", experts_, presence.size());
      const std::size_t e = experts_, count = edges_.size();
      if (count == 0) return t.constant(e, e, 0);
      const auto here = [&](std::size_t i) { return presence.empty() ? T(1) : presence[i]; };
      T *average = t.template host<T>(count * e), *strength = t.template host<T>(count),
        *alone = t.template host<T>(e);
      for (std::size_t i = 0; i < e; ++i) alone[i] = 1;
      for (std::size_t q = 0; q < count; ++q) {
        T members = 0, together = 1;
        for (std::size_t i = 0; i < e; ++i) average[q * e + i] = 0;
        for (const std::size_t i : edges_[q]) members += here(i), together *= here(i);
        strength[q] = fades_ ? together : T(members > 0);
        for (const std::size_t i : edges_[q]) {
          average[q * e + i] = members > 0 ? here(i) / members : T(0);
          if (strength[q] > 0) alone[i] = 0;
        }
      }
      const auto h = t.input(incidence_);
      auto w = t.input(std::span<const T>(strength, count), count, 1);
      if (weights_) w = w * ops::softplus(t.use(*weights_));
      const auto degree =
          ops::matmul(h, w) + t.input(std::span<const T>(alone, e), e, 1);  // 1 / 0 would be 0
      const auto spread = ops::scale_rows(t.input(std::span<const T>(average, count * e), count, e), w);
      return ops::scale_rows(ops::matmul(h, spread), 1 / degree);
    }
  };
};

inline std::vector<std::vector<std::size_t>> hypergraph::hyperedges(std::size_t experts) const {
  std::vector<std::vector<std::size_t>> out;
  if (edges == kind::custom) {
    out = custom;
    for (auto& edge : out) {
      if (edge.empty())
        throw error("coupling::hypergraph", "hyperedges of at least one expert", "an empty one");
      for (const std::size_t i : edge) {
        std::size_t times = 0;
        for (const std::size_t j : edge) times += i == j;
        if (i >= experts || times > 1)
          throw error("coupling::hypergraph",
                      "hyperedges of different experts below " + std::to_string(experts),
                      std::to_string(i) + (times > 1 ? " twice" : ""));
      }
    }
    return out;
  }
  if (!custom.empty())
    throw error("coupling::hypergraph", "hyperedges of one's own with .edges = kind::custom only", "some");
  if (edges == kind::all) {
    out.emplace_back();
    for (std::size_t i = 0; i < experts; ++i) out[0].push_back(i);
    return out;
  }
  for (std::size_t i = 0; i < experts; ++i)
    for (std::size_t j = i + 1; j < experts; ++j) {
      if (edges == kind::pairs) out.push_back({i, j});
      for (std::size_t k = j + 1; k < experts && edges == kind::triplets; ++k) out.push_back({i, j, k});
    }
  return out;
}

}  // namespace modx::coupling
