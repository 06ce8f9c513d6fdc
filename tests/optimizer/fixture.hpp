// Two parameters whose gradients the test chooses.
#pragma once
#include <modx/ops.hpp>
#include <modx/optimizer/tasks.hpp>

#include "support.hpp"

namespace support {

struct two_parameters {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> owned;
  modx::builder<cpu64> b{backend, owned, 1};
  modx::parameter<cpu64>& p = b.make("p", 1, 3, modx::init::constant(1));
  modx::parameter<cpu64>& q = b.make("q", 2, 1, modx::init::constant(2));
  std::vector<modx::parameter<cpu64>*> list{&p, &q};
  modx::tape<cpu64> t{backend};

  /// Adds gradients gp and gq.
  void backward(const modx::matrix<double>& gp, const modx::matrix<double>& gq) {
    t.reset();
    const auto a = modx::ops::sum(t.use(p) * t.input(gp)), c = modx::ops::sum(t.use(q) * t.input(gq));
    const auto loss = a + c;
    if (loss.needs_gradient()) t.backward(loss);
  }
  template <class O>
  void step(const O& optimizer, double lr_scale = 1, double gradient_scale = 1) {
    optimizer.update(std::span<modx::parameter<cpu64>* const>(list), lr_scale, gradient_scale);
  }
};

}  // namespace support
