// y = activation(x W1 + b1) W2 + b2.   W1: in x hidden, W2: hidden x out.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

/// Two-layer perceptron.
struct mlp {
  std::size_t hidden = 64;
  activation act = activation::relu;
  bool bias = true;
  std::size_t out = 0;  // 0: what the surrounding shape says
  bool operator==(const mlp&) const = default;

  extent output(extent) const { return out; }

  template <Backend B>
  class bound {
    parameter<B>*up_, *up_bias_, *down_, *down_bias_;
    activation act_;

   public:
    bound(builder<B>& b, const mlp& s, shape io)
        : up_(&b.make("up.weight", io.in, s.hidden, init::fan_in(io.in))),
          up_bias_(s.bias ? &b.make("up.bias", 1, s.hidden, init::fan_in(io.in)) : nullptr),
          down_(&b.make("down.weight", s.hidden, io.out, init::fan_in(s.hidden))),
          down_bias_(s.bias ? &b.make("down.bias", 1, io.out, init::fan_in(s.hidden)) : nullptr),
          act_(s.act) {
      expect_width("mlp", io.out, s.out);
    }
    var<B> forward(var<B> x) const { return ops::linear(ops::linear(x, *up_, up_bias_, act_), *down_, down_bias_); }
  };
};

}  // namespace modx::module
