// CUDA backend: optimiser steps, one launch for all tensors.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/loops.cuh>

namespace modx::gpu {

/// One tensor; its blocks start at `first`, each takes 4096 values.  rate is the learning rate, for AdamW with root and
/// keep at the tensor's step.
template <class T>
struct update_entry {
  unsigned first;
  std::size_t size;
  T* w;
  const T* g;
  T *m, *v;
  T rate, root, keep;
};
template <class T>
struct sgd_numbers {
  T momentum, decay, scale;
};
template <class T>
struct adamw_numbers {
  T b1, b2, eps, scale;
};

/// m = momentum m + scale g + decay w;  w -= lr m.  Without m: w -= lr (scale g + decay w).
template <class T>
__global__ void sgd_pieces(const update_entry<T>* list, unsigned count, sgd_numbers<T> s) {
  const update_entry<T> e = entry_of_block(list, count);
  const std::size_t first = (blockIdx.x - e.first) * piece, last = first + piece < e.size ? first + piece : e.size;
  for (std::size_t i = first + threadIdx.x; i < last; i += blockDim.x) {
    T step = s.scale * e.g[i] + s.decay * e.w[i];
    if (e.m) e.m[i] = step = s.momentum * e.m[i] + step;
    e.w[i] -= e.rate * step;
  }
}
/// m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w = keep w - rate m / (sqrt(v) root + eps).
template <class T>
__global__ void adamw_pieces(const update_entry<T>* list, unsigned count, adamw_numbers<T> s) {
  const update_entry<T> e = entry_of_block(list, count);
  const std::size_t first = (blockIdx.x - e.first) * piece, last = first + piece < e.size ? first + piece : e.size;
  for (std::size_t i = first + threadIdx.x; i < last; i += blockDim.x) {
    const T g = s.scale * e.g[i];
    const T m = s.b1 * e.m[i] + (T(1) - s.b1) * g, v = s.b2 * e.v[i] + (T(1) - s.b2) * g * g;
    e.m[i] = m, e.v[i] = v;
    e.w[i] = e.keep * e.w[i] - e.rate * m / (std::sqrt(v) * e.root + s.eps);
  }
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::update(const sgd_step& step, std::span<const update_task<T>> tensors) {
  const auto launch = state_->update_blocks(
      tensors, [&](const update_task<T>& t, gpu::update_entry<T>& e) { e.rate = T(step.lr * t.rate); });
  if (launch.blocks)
    state_->device.launch(
        gpu::sgd_pieces<T>, gpu::geometry{dim3(launch.blocks), dim3(gpu::block_threads)}, launch.table, launch.count,
        gpu::sgd_numbers<T>{T(step.momentum), T(step.weight_decay), T(step.gradient_scale)});
}
template <class T>
void basic_cuda<T>::update(const adamw_step& step, std::span<const update_task<T>> tensors) {
  const auto launch = state_->update_blocks(tensors, [&](const update_task<T>& t, gpu::update_entry<T>& e) {
    const double lr = step.lr * t.rate;
    e.keep = T(1 - lr * step.weight_decay), e.rate = T(lr / (1 - std::pow(step.beta1, double(t.step))));
    e.root = T(1 / std::sqrt(1 - std::pow(step.beta2, double(t.step))));
  });
  if (launch.blocks)
    state_->device.launch(gpu::adamw_pieces<T>, gpu::geometry{dim3(launch.blocks), dim3(gpu::block_threads)},
                          launch.table, launch.count,
                          gpu::adamw_numbers<T>{T(step.beta1), T(step.beta2), T(step.eps), T(step.gradient_scale)});
}

}  // namespace modx
