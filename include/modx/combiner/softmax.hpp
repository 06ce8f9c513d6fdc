// y = sum_e p_e y_e: the mixture of experts.
#pragma once
#include <modx/concepts.hpp>

namespace modx::combiner {

struct softmax {
  bool operator==(const softmax&) const = default;

  template <Backend B>
  var<B> combine(const outputs<B>& y, const dense_routing<B>& r) const {
    return ops::weighted_sum(r.weights, y);
  }
  template <Backend B>
  var<B> combine(const slot_outputs<B>& y, const top_k_routing<B>& r) const {
    return ops::weighted_sum(r.weights, y);
  }
};

}  // namespace modx::combiner
