// CUDA backend: elementwise functions.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/loops.cuh>
#include <modx/backend/functor.hpp>

namespace modx::gpu {

// All of them: n elements, a thread an element.

/// y = value.
template <class T>
__global__ void fill_each(std::size_t n, T value, T* y) {
  for_elements(n, [=](std::size_t i) { y[i] = value; });
}
/// y = beta y + a x.
template <class T>
__global__ void axpy_each(std::size_t n, T a, const T* x, T beta, T* y) {
  for_elements(n, [=](std::size_t i) { blend(beta, a * x[i], y[i]); });
}
/// y = beta y.
template <class T>
__global__ void scale_each(std::size_t n, T beta, T* y) {
  for_elements(n, [=](std::size_t i) { y[i] = beta == T(0) ? T(0) : beta * y[i]; });
}
/// y = f(x).
template <class T, class F>
__global__ void map_each(F f, std::size_t n, const T* x, T* y) {
  for_elements(n, [=](std::size_t i) { y[i] = f(x[i]); });
}
/// dx = beta dx + dy f'(x).
template <class T, class F>
__global__ void map_gradient_each(F f, std::size_t n, const T* x, const T* y, const T* dy, T beta, T* dx) {
  for_elements(n, [=](std::size_t i) { blend(beta, dy[i] * f.derivative(x[i], y[i]), dx[i]); });
}
/// y = f(a, b).
template <class T, class F>
__global__ void zip_each(F f, std::size_t n, const T* a, const T* b, T* y) {
  for_elements(n, [=](std::size_t i) { y[i] = f(a[i], b[i]); });
}
/// dx = beta dx + dy df/da (side 0) or df/db (side 1).
template <class T, class F>
__global__ void zip_gradient_each(F f, int side, std::size_t n, const T* a, const T* b, const T* dy, T beta, T* dx) {
  for_elements(n, [=](std::size_t i) { blend(beta, dy[i] * f.derivative(side, a[i], b[i]), dx[i]); });
}
/// dpre = dy act'(pre); relu needs the output y only.
template <class T>
__global__ void activation_gradient_each(activation act, std::size_t n, const T* pre, const T* y, const T* dy,
                                         T* dpre) {
  for_elements(n, [=](std::size_t i) {
    if (act == activation::relu) {
      dpre[i] = y[i] > T(0) ? dy[i] : T(0);
    } else {
      dpre[i] = act == activation::none ? dy[i] : dy[i] * activation_slope(act, pre[i]);
    }
  });
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::fill(std::size_t n, T value, T* y) {
  if (n) state_->device.launch(gpu::fill_each<T>, gpu::elements(n), n, value, y);
}
template <class T>
void basic_cuda<T>::axpy(std::size_t n, T a, const T* x, T beta, T* y) {
  if (n) state_->device.launch(gpu::axpy_each<T>, gpu::elements(n), n, a, x, beta, y);
}
template <class T>
template <class F>
void basic_cuda<T>::map(F f, std::size_t n, const T* x, T* y) {
  if (n) state_->device.launch(gpu::map_each<T, F>, gpu::elements(n), f, n, x, y);
}
template <class T>
template <class F>
void basic_cuda<T>::map_gradient(F f, std::size_t n, const T* x, const T* y, const T* dy, T beta, T* dx) {
  if (n) state_->device.launch(gpu::map_gradient_each<T, F>, gpu::elements(n), f, n, x, y, dy, beta, dx);
}
template <class T>
template <class F>
void basic_cuda<T>::zip(F f, std::size_t n, const T* a, const T* b, T* y) {
  if (n) state_->device.launch(gpu::zip_each<T, F>, gpu::elements(n), f, n, a, b, y);
}
template <class T>
template <class F>
void basic_cuda<T>::zip_gradient(F f, int side, std::size_t n, const T* a, const T* b, const T* dy, T beta, T* dx) {
  if (n) state_->device.launch(gpu::zip_gradient_each<T, F>, gpu::elements(n), f, side, n, a, b, dy, beta, dx);
}
template <class T>
void basic_cuda<T>::activation_gradient(activation act, std::size_t n, const T* pre, const T* y, const T* dy, T* dpre) {
  if (n) state_->device.launch(gpu::activation_gradient_each<T>, gpu::elements(n), act, n, pre, y, dy, dpre);
}

}  // namespace modx
