// lr(step) = lr * schedule(step), step = updates so far: an optimiser under a schedule is an optimiser.
#pragma once
#include <modx/optimizer/tasks.hpp>

namespace modx::optimizer {

/// optimizer::scheduled{adamw{.lr = 1e-3}, schedule::warmup{.steps = 100}}.  The step is the largest number of updates
/// among the trainable parameters, so a resumed stage goes on where it was.
template <class O, class S>
struct scheduled {
  static_assert(check_schedule<S>());
  O inner{};
  S schedule{};
  bool operator==(const scheduled&) const = default;

  template <class B>
  void update(std::span<parameter<B>* const> list, double lr_scale, double gradient_scale) const {
    static_assert(check_optimizer<O, B>());
    std::uint64_t step = 0;
    for (auto* p : list)
      if (p->trainable()) step = std::max(step, p->updates);
    if constexpr (Optimizer<O, B>) inner.update(list, lr_scale * double(schedule(step)), gradient_scale);
  }
};

}  // namespace modx::optimizer
