// y = base + scale * sum_e y_e: the published "all_fixed", a sum and not a mean.
#pragma once
#include <modx/concepts.hpp>

namespace modx::combiner {

/// Ignores the router's weights; e experts spend e times the residual that each was trained for.
struct residual_sum {
  double scale = 0.1;
  bool operator==(const residual_sum&) const = default;

  template <Backend B>
  var<B> combine(var<B> base, const outputs<B>& y, const dense_routing<B>&) const {
    return base + scale * ops::sum_experts(y);
  }
};

}  // namespace modx::combiner
