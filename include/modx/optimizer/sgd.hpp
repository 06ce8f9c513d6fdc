// m = momentum m + g + weight_decay w;  w -= lr m.
#pragma once
#include <modx/optimizer/tasks.hpp>

namespace modx::optimizer {

/// Stochastic gradient descent with momentum (PyTorch's form, no dampening).
struct sgd {
  double lr = 0.01;
  double momentum = 0;
  double weight_decay = 0;
  bool operator==(const sgd&) const = default;

  /// One step on every parameter with a gradient; the learning rate and the gradients are scaled.
  template <class B>
  void update(std::span<parameter<B>* const> list, double lr_scale, double gradient_scale) const {
    expect_finite("optimizer::sgd", "learning rate", lr * lr_scale);
    expect_finite("optimizer::sgd", "momentum", momentum);
    expect_finite("optimizer::sgd", "weight decay", weight_decay);
    static thread_local std::vector<update_task<typename B::scalar>> kept;
    const auto tasks = take_tasks(list, momentum != 0 ? 1 : 0, kept);
    if (!tasks.empty())
      list[0]->backend().update(sgd_step{lr * lr_scale, momentum, weight_decay, gradient_scale}, tasks);
  }
};

}  // namespace modx::optimizer
