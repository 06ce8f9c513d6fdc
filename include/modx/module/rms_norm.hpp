// y = g x / sqrt(mean of x^2 + eps) for each row.   g: 1 x d.   Zhang & Sennrich 2019.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

struct rms_norm {
  double eps = 1e-6;
  bool operator==(const rms_norm&) const = default;

  extent output(extent in) const { return in; }

  template <Backend B>
  class bound {
    parameter<B>* gain_;
    double eps_;

   public:
    bound(builder<B>& b, const rms_norm& s, shape io)
        : gain_(&b.make("weight", 1, io.in, init::constant(1))), eps_(s.eps) {
      expect_equal("rms_norm", "columns out (as many as come in)", io.in, io.out);
    }
    var<B> forward(var<B> x) const { return ops::rms_norm(x, x.on().use(*gain_), eps_); }
  };
};

}  // namespace modx::module
