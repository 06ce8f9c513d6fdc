// CPU backend: optimiser steps, one pass over all tensors.
#pragma once
#include <cmath>

namespace modx {

namespace kernels {
/// f(task, begin, end) for chunks of all tensors.
template <class T, class F>
void for_tensors(thread_pool& pool, std::span<const update_task<T>> tensors, F&& f) {
  constexpr std::size_t grain = 16384;
  std::size_t chunks = 0;
  for (const auto& t : tensors) chunks += (t.size + grain - 1) / grain;
  pool.run(chunks, [&](std::size_t c) {
    for (const auto& t : tensors) {
      const std::size_t own = (t.size + grain - 1) / grain;
      if (c < own) return f(t, c * grain, std::min(t.size, (c + 1) * grain));
      c -= own;
    }
  });
}
}  // namespace kernels

template <class T>
void basic_cpu<T>::update(const sgd_step& step, std::span<const update_task<T>> tensors) {
  const T momentum = T(step.momentum), decay = T(step.weight_decay), scale = T(step.gradient_scale);
  kernels::for_tensors(*state_->pool, tensors, [=](const update_task<T>& t, std::size_t i0, std::size_t i1) {
    T *w = t.w, *m = t.m;
    const T* g = t.g;
    const T lr = T(step.lr * t.rate);
    if (m) {
      for (std::size_t i = i0; i < i1; ++i) {
        m[i] = momentum * m[i] + (scale * g[i] + decay * w[i]);
        w[i] -= lr * m[i];
      }
    } else {
      for (std::size_t i = i0; i < i1; ++i) w[i] -= lr * (scale * g[i] + decay * w[i]);
    }
  });
}
template <class T>
void basic_cpu<T>::update(const adamw_step& step, std::span<const update_task<T>> tensors) {
  const T b1 = T(step.beta1), b2 = T(step.beta2), scale = T(step.gradient_scale), eps = T(step.eps);
  kernels::for_tensors(*state_->pool, tensors, [=](const update_task<T>& t, std::size_t i0, std::size_t i1) {
    T *w = t.w, *m = t.m, *v = t.v;
    const T* gradient = t.g;
    const double lr = step.lr * t.rate;
    const T keep = T(1 - lr * step.weight_decay), rate = T(lr / (1 - std::pow(step.beta1, double(t.step))));
    const T root = T(1 / std::sqrt(1 - std::pow(step.beta2, double(t.step))));
    for (std::size_t i = i0; i < i1; ++i) {
      const T g = scale * gradient[i];
      m[i] = b1 * m[i] + (1 - b1) * g;
      v[i] = b2 * v[i] + (1 - b2) * g * g;
      w[i] = keep * w[i] - rate * m[i] / (std::sqrt(v[i]) * root + eps);
    }
  });
}

}  // namespace modx
