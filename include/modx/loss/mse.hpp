// loss = mean of (y - t)^2.   y, t: n x m.
#pragma once
#include <modx/loss/sum.hpp>

namespace modx::loss {

struct mse : term {
  bool operator==(const mse&) const = default;

  template <Backend B>
  var<B> operator()(var<B> y, const var<B>& t) const {
    return ops::mean(ops::square(y - t));
  }
};

}  // namespace modx::loss
