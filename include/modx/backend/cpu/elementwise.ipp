// CPU backend: elementwise functions.
#pragma once

namespace modx {

template <class T>
template <class F>
void basic_cpu<T>::map(F f, std::size_t n, const T* x, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::element_grain, [=](std::size_t i0, std::size_t i1) {
    for (std::size_t i = i0; i < i1; ++i) y[i] = f(x[i]);
  });
}
template <class T>
template <class F>
void basic_cpu<T>::map_gradient(F f, std::size_t n, const T* x, const T* y, const T* dy, T beta, T* dx) {
  kernels::for_chunks(*state_->pool, n, kernels::element_grain, [=](std::size_t i0, std::size_t i1) {
    if (beta == T(0)) {
      for (std::size_t i = i0; i < i1; ++i) dx[i] = dy[i] * f.derivative(x[i], y[i]);
    } else {
      for (std::size_t i = i0; i < i1; ++i) dx[i] = beta * dx[i] + dy[i] * f.derivative(x[i], y[i]);
    }
  });
}
template <class T>
template <class F>
void basic_cpu<T>::zip(F f, std::size_t n, const T* a, const T* b, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::element_grain, [=](std::size_t i0, std::size_t i1) {
    for (std::size_t i = i0; i < i1; ++i) y[i] = f(a[i], b[i]);
  });
}
template <class T>
template <class F>
void basic_cpu<T>::zip_gradient(F f, int side, std::size_t n, const T* a, const T* b, const T* dy, T beta, T* dx) {
  kernels::for_chunks(*state_->pool, n, kernels::element_grain, [=](std::size_t i0, std::size_t i1) {
    for (std::size_t i = i0; i < i1; ++i) kernels::blend(beta, dy[i] * f.derivative(side, a[i], b[i]), dx[i]);
  });
}

template <class T>
void basic_cpu<T>::activation_gradient(activation act, std::size_t n, const T* pre, const T* y, const T* dy, T* dpre) {
  kernels::for_chunks(*state_->pool, n, kernels::element_grain, [=](std::size_t i0, std::size_t i1) {
    if (act == activation::relu) {  // needs the output only
      for (std::size_t i = i0; i < i1; ++i) dpre[i] = y[i] > T(0) ? dy[i] : T(0);
    } else if (act == activation::gelu) {
      for (std::size_t i = i0; i < i1; ++i) dpre[i] = dy[i] * activation_slope(activation::gelu, pre[i]);
    } else if (act == activation::silu) {
      for (std::size_t i = i0; i < i1; ++i) dpre[i] = dy[i] * activation_slope(activation::silu, pre[i]);
    } else if (act == activation::tanh) {
      for (std::size_t i = i0; i < i1; ++i) dpre[i] = dy[i] * activation_slope(activation::tanh, pre[i]);
    } else {
      std::copy(dy + i0, dy + i1, dpre + i0);
    }
  });
}

}  // namespace modx
