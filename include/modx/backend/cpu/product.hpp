// What multiply() takes: views of matrices and the terms of c = act(beta c + a b + bias).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "modx/backend/activation.hpp"
#include "modx/error.hpp"

namespace modx::kernels {

/// A matrix somewhere: element (i, j) = data[i * row_stride + j * col_stride]; one of the strides is 1.
template <class T>
struct view {
  const T* data = nullptr;
  std::ptrdiff_t row_stride = 0, col_stride = 1;
};

/// c (m x n, leading dimension ldc) = act(beta c + a (m x k) b (k x n) + bias (n)); beta 0 never reads c.
template <class T>
struct product {
  std::size_t m = 0, n = 0, k = 0;
  view<T> a;
  const T* packed_b = nullptr;
  T beta = T(0);
  T* c = nullptr;
  std::size_t ldc = 0;
  const T* bias = nullptr;
  modx::activation act = modx::activation::none;
  T* pre = nullptr;  ///< if set, the value before the activation is stored here too (leading dimension ldc)
  const T* gate = nullptr;  ///< if set, c is 0 where gate is not positive (leading dimension ldc)
  const std::uint16_t* packed_bf16 = nullptr;  ///< instead of packed_b
  bool rounded = false;  ///< a is rounded to bfloat16 too, and the sums are AMX's (bf16_product.hpp); float only, with packed_bf16
};

namespace detail {

/// Throws error when a rows x cols view has no unit stride.
template <class T>
void check(const char* where, std::size_t rows, std::size_t cols, const view<T>& v) {
  if (v.row_stride == 1 || v.col_stride == 1 || rows <= 1 || cols <= 1) return;
  throw error(where, "a view with a unit stride",
              "strides " + std::to_string(v.row_stride) + " and " + std::to_string(v.col_stride));
}

/// Do the rows of a run along memory?  (If not, its columns do.)
template <class T>
bool by_row(const product<T>& p) {
  return p.a.col_stride == 1 || p.k <= 1;
}

}  // namespace detail

}  // namespace modx::kernels
