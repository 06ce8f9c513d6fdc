// y = activation(x W + b).   x: n x in, W: in x out, b: 1 x out.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

/// Affine map; starts like PyTorch's: U(-1/sqrt(in), 1/sqrt(in)) for W and b.
struct linear {
  std::size_t out = 0;  // 0: what the surrounding shape says
  bool bias = true;
  activation act = activation::none;
  bool operator==(const linear&) const = default;

  extent output(extent) const { return out; }

  template <Backend B>
  class bound {
    parameter<B>* weight_;
    parameter<B>* bias_;
    activation act_;

   public:
    bound(builder<B>& b, const linear& s, shape io)
        : weight_(&b.make("weight", io.in, io.out, init::fan_in(io.in))),
          bias_(s.bias ? &b.make("bias", 1, io.out, init::fan_in(io.in)) : nullptr),
          act_(s.act) {
      expect_width("linear", io.out, s.out);
    }
    var<B> forward(var<B> x) const { return ops::linear(x, *weight_, bias_, act_); }
  };
};

}  // namespace modx::module
