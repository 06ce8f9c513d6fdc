// loss = weight * mean over routings of 1/n sum_t (log sum_i exp z_ti)^2  (ST-MoE, Zoph et al. 2022, eq. 5).
#pragma once
#include <modx/loss/sum.hpp>

namespace modx::loss {

/// Keeps router logits small.  Reads the routings of the step: throws when no router has run.
struct router_z : term {
  double weight = 0.001;
  router_z(double w = 0.001) : weight(w) {}
  bool operator==(const router_z&) const = default;

  template <Backend B, class Target>
  var<B> operator()(var<B> y, const Target&) const {
    var<B> total;
    std::size_t count = 0;
    for (auto* r = routings(y.on()); r; r = r->next, ++count) {
      const auto one = ops::mean(ops::square(ops::log_sum_exp_rows(r->scores)));
      total = total ? total + one : one;
    }
    if (!count) throw error("router_z", "a router in the forward pass", "none");
    return (weight / double(count)) * total;
  }
};

}  // namespace modx::loss
