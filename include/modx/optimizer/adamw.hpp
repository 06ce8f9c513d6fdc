// m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= lr (weight_decay w + m^ / (sqrt(v^) + eps))
// (Loshchilov & Hutter 2019; m^, v^ corrected for their zero start).
#pragma once
#include <modx/optimizer/tasks.hpp>

namespace modx::optimizer {

/// Adam with decoupled weight decay, in one pass over all tensors.
struct adamw {
  double lr = 1e-3;
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  bool operator==(const adamw&) const = default;

  /// One step on every parameter with a gradient; the learning rate and the gradients are scaled.
  template <class B>
  void update(std::span<parameter<B>* const> list, double lr_scale, double gradient_scale) const {
    expect_finite("optimizer::adamw", "learning rate", lr * lr_scale);
    expect_finite("optimizer::adamw", "weight decay", weight_decay);
    expect_finite("optimizer::adamw", "eps", eps);
    expect_within("optimizer::adamw", "beta1", beta1, 0, 1);
    expect_within("optimizer::adamw", "beta2", beta2, 0, 1);
    static thread_local std::vector<update_task<typename B::scalar>> kept;
    const auto tasks = take_tasks(list, 2, kept);
    if (!tasks.empty())
      list[0]->backend().update(adamw_step{lr * lr_scale, beta1, beta2, eps, weight_decay, gradient_scale}, tasks);
  }
};

}  // namespace modx::optimizer
