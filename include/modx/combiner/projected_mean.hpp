// y = LayerNorm(GELU(z W + b)), z = 1/e sum_e y_e.   W: m x m, b: 1 x m.
// How GNN-MoE and HGNN-MoE (2025) read out.
#pragma once
#include <modx/concepts.hpp>
#include <modx/ops/norm.hpp>

namespace modx::combiner {

/// Ignores the router's weights; the one to copy for a combiner with parameters.
struct projected_mean {
  double eps = 1e-5;
  bool operator==(const projected_mean&) const = default;

  template <Backend B>
  class bound {
    parameter<B>*weight_, *bias_, *gain_, *shift_;
    double eps_;

   public:
    bound(builder<B>& b, const projected_mean& s, std::size_t width)
        : weight_(&b.make("weight", width, width, init::normal(0.02))),
          bias_(&b.make("bias", 1, width, init::zeros())),
          gain_(&b.make("norm.weight", 1, width, init::constant(1))),
          shift_(&b.make("norm.bias", 1, width, init::zeros())),
          eps_(s.eps) {}
    var<B> combine(const outputs<B>& y, const dense_routing<B>&) const {
      auto& t = y.y.on();
      const auto z = ops::linear(ops::mean_experts(y), *weight_, bias_, activation::gelu);
      return ops::layer_norm(z, t.use(*gain_), t.use(*shift_), eps_);
    }
  };
};

}  // namespace modx::combiner
