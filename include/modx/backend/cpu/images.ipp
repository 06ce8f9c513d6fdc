// CPU backend: convolution and pooling.
#pragma once

namespace modx {

namespace kernels {
inline conv_shape to_shape(const conv_task& t) { return {t.n, t.h, t.w, t.cin, t.cout, t.kernel, t.pad, t.pool}; }
}  // namespace kernels

template <class T>
std::size_t basic_cpu<T>::conv_workspace(const conv_task& task, bool backward) const {
  return kernels::conv_workspace<T>(kernels::to_shape(task), backward);
}
template <class T>
void basic_cpu<T>::conv2d(const conv_task& task, const T* x, const T* w, const T* bias, T* y, unsigned char* argmax,
                          T* workspace) {
  kernels::conv2d_forward(*state_->pool, kernels::to_shape(task), x, w, bias, task.relu, y, argmax, workspace);
}
template <class T>
void basic_cpu<T>::conv2d_gradient(const conv_task& task, const T* x, const T* w, const T* y,
                                   const unsigned char* argmax, const T* dy, T beta_x, T* dx, T beta_w, T* dw,
                                   T beta_b, T* dbias, T* workspace) {
  if (dw) kernels::scale(beta_w, task.kernel * task.kernel * task.cin * task.cout, dw);
  if (dbias) kernels::scale(beta_b, task.cout, dbias);
  kernels::conv2d_backward(*state_->pool, kernels::to_shape(task), x, w, task.relu, y, argmax, dy, dx, beta_x, dw,
                           dbias, workspace);
}
template <class T>
void basic_cpu<T>::max_pool(const conv_task& task, const T* x, T* y, unsigned char* argmax) {
  kernels::max_pool_forward(*state_->pool, kernels::to_shape(task), x, y, argmax);
}
template <class T>
void basic_cpu<T>::max_pool_gradient(const conv_task& task, const unsigned char* argmax, const T* dy, T beta, T* dx) {
  kernels::max_pool_backward(*state_->pool, kernels::to_shape(task), dy, argmax, dx, beta);
}

}  // namespace modx
