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
    if (of == average::outputs) return ops::mean_experts(y);
    const auto n = y.tokens();
    const auto p = ops::softmax_rows(ops::reshape(y.y, n * y.experts, y.width()));
    const auto mean = ops::mean_experts(outputs<B>{ops::reshape(p, n, y.y.cols()), y.experts, y.presence});
    return ops::log(mean + 1e-30);  // logits whose softmax is the mean
  }
};

}  // namespace modx::combiner
