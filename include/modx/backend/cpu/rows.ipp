// CPU backend: functions along rows and columns, sums, cross-entropy.
#pragma once
#include <cmath>
#include <modx/backend/math.hpp>

namespace modx {

namespace kernels {
/// Largest of d values; NaN wins, so that it is not hidden.
template <class T>
T row_max(const T* x, std::size_t d) {
  T m = x[0];
  for (std::size_t j = 1; j < d; ++j) m = x[j] > m || x[j] != x[j] ? x[j] : m;
  return m;
}
/// y = exp(x - shift); returns the sum.
template <class T>
T exp_row(const T* x, std::size_t d, T shift, T* y) {
  for (std::size_t j = 0; j < d; ++j) y[j] = fast_exp(x[j] - shift);
  return lane_sum<T>(d, [=](std::size_t j) { return y[j]; });
}
}  // namespace kernels

template <class T>
void basic_cpu<T>::rows(row_function f, std::size_t n, std::size_t d, const T* x, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(d), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) {
      const T* xt = x + t * d;
      if (f == row_function::sum) {
        y[t] = kernels::lane_sum<T>(d, [=](std::size_t j) { return xt[j]; });
        continue;
      }
      const T shift = kernels::row_max(xt, d);
      if (f == row_function::softmax) {
        T* yt = y + t * d;
        const T scale = T(1) / kernels::exp_row(xt, d, shift, yt);
        for (std::size_t j = 0; j < d; ++j) yt[j] *= scale;
        continue;
      }
      const T log_sum = std::log(kernels::lane_sum<T>(d, [=](std::size_t j) { return fast_exp(xt[j] - shift); }));
      if (f == row_function::log_sum_exp) {
        y[t] = shift + log_sum;
      } else {
        for (std::size_t j = 0; j < d; ++j) y[t * d + j] = (xt[j] - shift) - log_sum;
      }
    }
  });
}
template <class T>
void basic_cpu<T>::rows_gradient(row_function f, std::size_t n, std::size_t d, const T* x, const T* y, const T* dy,
                                 T beta, T* dx) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(d), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) {
      const T *xt = x + t * d, *yt = y + t * d, *gt = dy + t * d;
      T* out = dx + t * d;
      if (f == row_function::sum) {
        for (std::size_t j = 0; j < d; ++j) kernels::blend(beta, dy[t], out[j]);
      } else if (f == row_function::softmax) {  // dx = y (dy - <dy, y>)
        const T s = kernels::dot(gt, yt, d);
        for (std::size_t j = 0; j < d; ++j) kernels::blend(beta, yt[j] * (gt[j] - s), out[j]);
      } else if (f == row_function::log_softmax) {  // dx = dy - softmax sum(dy)
        const T s = kernels::lane_sum<T>(d, [=](std::size_t j) { return gt[j]; });
        for (std::size_t j = 0; j < d; ++j) kernels::blend(beta, gt[j] - fast_exp(yt[j]) * s, out[j]);
      } else {  // log_sum_exp: dx = dy softmax
        for (std::size_t j = 0; j < d; ++j) kernels::blend(beta, dy[t] * fast_exp(xt[j] - y[t]), out[j]);
      }
    }
  });
}

template <class T>
void basic_cpu<T>::scale_rows(std::size_t n, std::size_t d, const T* x, const T* s, T beta, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(d), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t j = 0; j < d; ++j) kernels::blend(beta, s[t] * x[t * d + j], y[t * d + j]);
  });
}
template <class T>
void basic_cpu<T>::dot_rows(std::size_t n, std::size_t d, const T* a, const T* b, T beta, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(d), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) kernels::blend(beta, kernels::dot(a + t * d, b + t * d, d), y[t]);
  });
}
template <class T>
void basic_cpu<T>::add_row(std::size_t n, std::size_t d, const T* x, const T* r, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(d), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t j = 0; j < d; ++j) y[t * d + j] = x[t * d + j] + r[j];
  });
}
template <class T>
void basic_cpu<T>::column_sums(std::size_t n, std::size_t d, std::size_t stride, T a, const T* x, T beta, T* y) {
  constexpr std::size_t block = 64;  // one chunk owns whole columns: the order of additions is fixed
  kernels::for_chunks(*state_->pool, d, n * d > kernels::element_grain ? block : d + 1,
                      [=](std::size_t j0, std::size_t j1) {
    for (std::size_t b0 = j0; b0 < j1; b0 += block) {
      T sums[block] = {};
      const std::size_t width = std::min(block, j1 - b0);
      for (std::size_t t = 0; t < n; ++t) {
        const T* row = x + t * stride + b0;
        for (std::size_t j = 0; j < width; ++j) sums[j] += row[j];
      }
      for (std::size_t j = 0; j < width; ++j) kernels::blend(beta, a * sums[j], y[b0 + j]);
    }
  });
}
template <class T>
void basic_cpu<T>::broadcast_row(std::size_t n, std::size_t d, T a, const T* r, T beta, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(d), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t j = 0; j < d; ++j) kernels::blend(beta, a * r[j], y[t * d + j]);
  });
}
template <class T>
void basic_cpu<T>::take_columns(std::size_t n, std::size_t d, std::size_t from, std::size_t m, const T* x, T beta,
                                T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t j = 0; j < m; ++j) kernels::blend(beta, x[t * d + from + j], y[t * m + j]);
  });
}
template <class T>
void basic_cpu<T>::put_columns(std::size_t n, std::size_t d, std::size_t from, std::size_t m, const T* x, T beta,
                               T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t j = 0; j < m; ++j) kernels::blend(beta, x[t * m + j], y[t * d + from + j]);
  });
}
template <class T>
void basic_cpu<T>::sum(std::size_t n, T a, const T* x, T* y) {
  double total = 0;
  for (std::size_t i = 0; i < n; i += kernels::element_grain) {
    const std::size_t m = std::min(kernels::element_grain, n - i);
    total += double(kernels::lane_sum<T>(m, [=](std::size_t j) { return x[i + j]; }));
  }
  *y = a * T(total);
}
template <class T>
double basic_cpu<T>::squared_norm(std::span<const update_task<T>> tensors) {
  double total = 0;
  for (const auto& t : tensors)
    total += kernels::lane_sum<double>(t.size, [&](std::size_t j) { return double(t.g[j]) * double(t.g[j]); });
  return total;
}

template <class T>
void basic_cpu<T>::cross_entropy(std::size_t n, std::size_t c, const T* x, const std::int32_t* label, T* loss,
                                 T* gradient) {
  for (std::size_t t = 0; t < n; ++t)
    if (label[t] < 0 || std::size_t(label[t]) >= c)
      throw error("cross_entropy, label of token " + std::to_string(t), "0 <= label < " + std::to_string(c),
                  std::to_string(label[t]));
  const T scale = T(1) / T(n);
  auto& losses = state_->losses;
  if (losses.size() < n) losses.resize(n);
  double* const each = losses.data();
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(c), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) {
      const T* row = x + t * c;
      const T shift = kernels::row_max(row, c);
      T s;
      if (gradient) {
        s = kernels::exp_row(row, c, shift, gradient + t * c);
        const T a = scale / s;
        for (std::size_t j = 0; j < c; ++j) gradient[t * c + j] *= a;
        gradient[t * c + std::size_t(label[t])] -= scale;
      } else {
        s = kernels::lane_sum<T>(c, [=](std::size_t j) { return fast_exp(row[j] - shift); });
      }
      each[t] = double(std::log(s) + (shift - row[label[t]]));  // log s is not lost beside a large shift
    }
  });
  double total = 0;
  for (std::size_t t = 0; t < n; ++t) total += each[t];
  *loss = T(total / double(n));
}

}  // namespace modx
