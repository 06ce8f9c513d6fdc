// y = base + scale * sum_e p_e y_e.
// On logits (base: a head, experts: heads) this is the published RED code; on the hidden vector (base: identity) with
// one classifier behind the mixture it is the paper's form.
#pragma once
#include <modx/concepts.hpp>

namespace modx::combiner {

struct residual {
  double scale = 0.1;
  bool operator==(const residual&) const = default;

  template <Backend B>
  var<B> combine(var<B> base, const outputs<B>& y, const dense_routing<B>& r) const {
    return base + scale * ops::weighted_sum(r.weights, y);
  }
  template <Backend B>
  var<B> combine(var<B> base, const slot_outputs<B>& y, const top_k_routing<B>& r) const {
    return base + scale * ops::weighted_sum(r.weights, y);
  }
};

}  // namespace modx::combiner
