// loss = weight * mean over dormant ghosts g of the mean of (y_g(x) - z)^2, z = sum_e p_e y_e(x) of the awake.
// Neither x nor z gets a gradient: a ghost learns what the mixture says, and nothing else notices.
#pragma once
#include <modx/loss/sum.hpp>

namespace modx::loss {

/// Reads the outputs of the step: throws when no mixture with ghosts has run; 0 when all are awake.  Ghosts
/// also need a learning rate: ghost_rules::background.
struct ghost_background : term {
  double weight = 1;
  ghost_background(double w = 1) : weight(w) {}
  bool operator==(const ghost_background&) const = default;

  template <Backend B, class Target>
  var<B> operator()(var<B> y, const Target&) const {
    auto& t = y.on();
    var<B> total;
    std::size_t count = 0;
    bool any = false;
    for (auto* r = expert_outputs(t); r; r = r->next) {
      if (r->y.presence.empty()) continue;
      any = true;
      var<B> goal;
      for (std::size_t i = 0; i < r->y.experts; ++i) {
        if (r->y.presence[i] > 0) continue;
        if (!goal) goal = ops::stop_gradient(ops::weighted_sum(r->weights, r->y));
        const auto one = ops::mean(ops::square(r->one(r->bank, i, ops::stop_gradient(r->x)) - goal));
        total = total ? total + one : one;
        ++count;
      }
    }
    if (!any) throw error("ghost_background", "a mixture with ghosts in the forward pass", "none");
    return count ? (weight / double(count)) * total : t.constant(1, 1, 0);
  }
};

}  // namespace modx::loss
