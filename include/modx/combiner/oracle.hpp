// y = y_d, d the token's true domain.
#pragma once
#include <modx/concepts.hpp>

namespace modx::combiner {

/// Needs the domain ids of the batch.
struct oracle {
  bool operator==(const oracle&) const = default;

  template <Backend B>
  var<B> combine(const outputs<B>& y, domain_ids d) const {
    expect_equal("combiner::oracle", "domain ids", y.tokens(), d.count);
    return ops::pick_expert(y, d.id);
  }
};

}  // namespace modx::combiner
