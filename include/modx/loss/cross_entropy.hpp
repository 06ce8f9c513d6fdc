// loss = -1/n sum_t log softmax(y_t)[label_t], fused with its gradient.   y: n x c logits.
#pragma once
#include <modx/loss/sum.hpp>

namespace modx::loss {

/// Throws for labels outside [0, c) and for counts that disagree.
struct cross_entropy : term {
  bool operator==(const cross_entropy&) const = default;

  template <Backend B>
  var<B> operator()(var<B> y, const labels& t) const {
    expect_equal("cross_entropy", "labels", y.rows(), t.count);
    return ops::cross_entropy(y, t.id);
  }
};

}  // namespace modx::loss
