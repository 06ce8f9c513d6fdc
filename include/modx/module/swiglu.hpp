// y = (act(x W_g) * x W_u) W_d; W_g and W_u side by side, one product.   Shazeer 2020 (act = silu).
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

struct swiglu {
  std::size_t hidden = 64;
  activation act = activation::silu;
  std::size_t out = 0;  // 0: what the surrounding shape says
  bool operator==(const swiglu&) const = default;

  extent output(extent in) const { return out ? extent(out) : in; }

  template <Backend B>
  class bound {
    parameter<B>*up_, *down_;
    activation act_;

   public:
    bound(builder<B>& b, const swiglu& s, shape io)
        : up_(&b.make("gate_up.weight", io.in, 2 * s.hidden, init::fan_in(io.in))),
          down_(&b.make("down.weight", s.hidden, io.out, init::fan_in(s.hidden))),
          act_(s.act) {
      expect_width("swiglu", io.out, s.out);
    }
    var<B> forward(var<B> x) const {
      return ops::linear(ops::gated(ops::linear(x, *up_, nullptr), act_), *down_, nullptr);
    }
  };
};

}  // namespace modx::module
