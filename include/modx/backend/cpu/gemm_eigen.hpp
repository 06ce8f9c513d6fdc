// A block of a product by Eigen over the same panels: the portable path, and the check on our own tiles.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstddef>

#include "modx/backend/cpu/activate.hpp"
#include "modx/backend/cpu/pack.hpp"
#include "modx/backend/cpu/product.hpp"

namespace modx::kernels::detail {

/// Rows [i0, i1) x panels [p0, p1) of one product, in blocks so small that Eigen's buffers stay on the stack.
template <class T>
void block_eigen(const product<T>& p, std::size_t i0, std::size_t i1, std::size_t p0, std::size_t p1) {
  using matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using rows_of = Eigen::Map<const matrix, 0, Eigen::OuterStride<>>;
  using cols_of = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>, 0, Eigen::OuterStride<>>;
  constexpr std::size_t width = panel_width<T>, most = 64, k_most = 512 / sizeof(T);
  const auto index = [](std::size_t i) { return static_cast<Eigen::Index>(i); };
  for (std::size_t i = i0; i < i1; i += most) {
    const std::size_t rows = std::min(most, i1 - i);
    for (std::size_t j = p0 * width; j < std::min(p.n, p1 * width); j += width) {
      const std::size_t cols = std::min(width, p.n - j);
      Eigen::Map<matrix, 0, Eigen::OuterStride<>> c(p.c + i * p.ldc + j, index(rows), index(cols),
                                                    Eigen::OuterStride<>(index(p.ldc)));
      if (p.beta == T(0)) {
        c.setZero();
      } else if (p.beta != T(1)) {
        c *= p.beta;
      }
      for (std::size_t l = 0; l < p.k; l += k_most) {
        const std::size_t k = std::min(k_most, p.k - l);
        const T* a = p.a.data + static_cast<std::ptrdiff_t>(i) * p.a.row_stride +
                     static_cast<std::ptrdiff_t>(l) * p.a.col_stride;
        const rows_of b(p.packed_b + (j / width * p.k + l) * width, index(k), index(cols),
                        Eigen::OuterStride<>(index(width)));
        if (by_row(p)) {
          c.noalias() += rows_of(a, index(rows), index(k), Eigen::OuterStride<>(p.a.row_stride)) * b;
        } else {
          c.noalias() += cols_of(a, index(rows), index(k), Eigen::OuterStride<>(p.a.col_stride)) * b;
        }
      }
      for (std::size_t r = 0; r < rows; ++r) {
        T* row = p.c + (i + r) * p.ldc + j;
        for (std::size_t q = 0; p.bias && q < cols; ++q) row[q] += p.bias[j + q];
        if (p.pre) std::copy_n(row, cols, p.pre + (i + r) * p.ldc + j);
        if (p.act != activation::none) activate_row(p.act, cols, row, row);
        const T* gate = p.gate ? p.gate + (i + r) * p.ldc + j : nullptr;
        for (std::size_t q = 0; gate && q < cols; ++q) row[q] = gate[q] > T(0) ? row[q] : T(0);
      }
    }
  }
}

}  // namespace modx::kernels::detail
