// y = 1/e sum_e y_e, or the log of the mean of the experts' softmaxes (RED's paper, section 4.4.4: "uniform averaging").
#pragma once
#include <modx/concepts.hpp>

namespace modx::combiner {

/// Ignores the router's weights.
struct uniform {
  enum class average { outputs, softmaxes } of = average::outputs;
  bool operator==(const uniform&) const = default;

  template <Backend B>
  var<B> combine(const outputs<B>& y, const dense_routing<B>&) const {
    const double each = 1 / double(y.experts);
    if (of == average::outputs) return each * ops::sum_experts(y);
    auto total = ops::softmax_rows(y[0]);
    for (std::size_t i = 1; i < y.experts; ++i) total = total + ops::softmax_rows(y[i]);
    return ops::log(ops::affine(total, each, 1e-30));  // logits whose softmax is the mean
  }
};

}  // namespace modx::combiner
