// y = g (x - mean) / sqrt(variance + eps) + b for each row.   g, b: 1 x d.   Ba, Kiros, Hinton 2016.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

struct layer_norm {
  double eps = 1e-5;
  bool operator==(const layer_norm&) const = default;

  extent output(extent in) const { return in; }

  template <Backend B>
  class bound {
    parameter<B>*gain_, *bias_;
    double eps_;

   public:
    bound(builder<B>& b, const layer_norm& s, shape io)
        : gain_(&b.make("weight", 1, io.in, init::constant(1))),
          bias_(&b.make("bias", 1, io.in, init::zeros())),
          eps_(s.eps) {
      expect_equal("layer_norm", "columns out (as many as come in)", io.in, io.out);
    }
    var<B> forward(var<B> x) const {
      return ops::layer_norm(x, x.on().use(*gain_), x.on().use(*bias_), eps_);
    }
  };
};

}  // namespace modx::module
