// y = concat_h(softmax(q_h k_h^T / sqrt(head_dim)) v_h) W_o + b_o inside each sequence; [q | k | v] = x W +
// b, one product. Vaswani et al. 2017; key heads shared by groups of query heads: Ainslie et al. 2023; rotary
// positions: Su et al. 2021.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

struct attention {
  std::size_t heads = 4;
  std::size_t kv_heads = 0;  // 0: as many as heads
  std::size_t head_dim = 0;  // 0: in / heads
  bool causal = true;
  bool bias = true;
  double rotary_base = 0;   // 0: no rotary positions
  bool normalised = false;  // RMS norm of each query and key head, with a learned gain (Qwen3)
  double eps = 1e-6;
  std::size_t out = 0;  // 0: what the surrounding shape says
  bool operator==(const attention&) const = default;

  extent output(extent in) const { return out ? extent(out) : in; }
  head_layout layout(std::size_t in) const {
    if (heads == 0 || (head_dim == 0 && in % heads))
      throw error("attention", "heads that divide " + std::to_string(in) + " columns", std::to_string(heads));
    return {.heads = heads,
            .kv_heads = kv_heads ? kv_heads : heads,
            .head_dim = head_dim ? head_dim : in / heads};
  }

  template <Backend B>
  class bound {
    head_layout heads_;
    double base_, eps_;
    bool causal_;
    parameter<B>*in_, *in_bias_, *out_, *out_bias_, *q_gain_, *k_gain_;

   public:
    bound(builder<B>& b, const attention& s, shape io)
        : heads_(s.layout(io.in.size())),
          base_(s.rotary_base),
          eps_(s.eps),
          causal_(s.causal),
          in_(&b.make("qkv.weight", io.in, heads_.columns(), init::fan_in(io.in.size()))),
          in_bias_(s.bias ? &b.make("qkv.bias", 1, heads_.columns(), init::zeros()) : nullptr),
          out_(&b.make("out.weight", heads_.queries(), io.out, init::fan_in(heads_.queries()))),
          out_bias_(s.bias ? &b.make("out.bias", 1, io.out, init::zeros()) : nullptr),
          q_gain_(s.normalised ? &b.make("q_norm.weight", 1, heads_.head_dim, init::constant(1)) : nullptr),
          k_gain_(s.normalised ? &b.make("k_norm.weight", 1, heads_.head_dim, init::constant(1)) : nullptr) {
      if (s.normalised && s.rotary_base <= 0)
        throw error("attention", "rotary positions (rotary_base > 0) where queries and keys are normalised",
                    "none");
    }
    var<B> forward(var<B> x) const {
      auto& t = x.on();
      auto y = ops::linear(x, *in_, in_bias_);
      if (base_ > 0)
        y = q_gain_ ? ops::rotary(y, heads_, base_, t.use(*q_gain_), t.use(*k_gain_), eps_)
                    : ops::rotary(y, heads_, base_);
      return ops::linear(ops::attention(y, heads_, causal_), *out_, out_bias_);
    }
  };
};

}  // namespace modx::module
