// CPU backend: folding experts' outputs, and top-k routing.
#pragma once

namespace modx {

template <class T>
void basic_cpu<T>::weighted_sum(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* y, T* out) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(e * m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) {
      T* o = out + t * m;
      std::fill(o, o + m, T(0));
      for (std::size_t i = 0; i < e; ++i) {
        const T a = w[t * e + i];
        const T* row = y + (t * e + i) * m;
        for (std::size_t j = 0; j < m; ++j) o[j] += a * row[j];
      }
    }
  });
}
template <class T>
void basic_cpu<T>::weighted_sum_gradient(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* y,
                                         const T* dout, T beta_w, T* dw, T beta_y, T* dy) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(e * m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t r = t0 * e; r < t1 * e; ++r) {
      const T* g = dout + (r / e) * m;
      if (dw) kernels::blend(beta_w, kernels::dot(g, y + r * m, m), dw[r]);
      if (dy)
        for (std::size_t j = 0; j < m; ++j) kernels::blend(beta_y, w[r] * g[j], dy[r * m + j]);
    }
  });
}

template <class T>
void basic_cpu<T>::mix_experts(std::size_t n, std::size_t e, std::size_t m, std::size_t stride, bool transposed,
                               const T* c, const T* y, T beta, T* out) {
  constexpr std::size_t block = 64;  // columns that stay in registers
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(e * m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t b0 = 0; b0 < m; b0 += block)
        for (std::size_t i = 0; i < e; ++i) {
          const T* row = c + t * stride + (transposed ? i : i * e);
          const T* from = y + t * e * m + b0;
          T* to = out + (t * e + i) * m + b0;
          T sums[block] = {};
          if (m - b0 >= block) {
            for (std::size_t j = 0; j < e; ++j) {
              const T a = row[transposed ? j * e : j];
              for (std::size_t l = 0; l < block; ++l) sums[l] += a * from[j * m + l];
            }
            for (std::size_t l = 0; l < block; ++l) kernels::blend(beta, sums[l], to[l]);
          } else {
            const std::size_t width = m - b0;
            for (std::size_t j = 0; j < e; ++j) {
              const T a = row[transposed ? j * e : j];
              for (std::size_t l = 0; l < width; ++l) sums[l] += a * from[j * m + l];
            }
            for (std::size_t l = 0; l < width; ++l) kernels::blend(beta, sums[l], to[l]);
          }
        }
  });
}
template <class T>
void basic_cpu<T>::dot_experts(std::size_t n, std::size_t e, std::size_t m, const T* a, const T* b, T beta, T* c) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(e * m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t i = 0; i < e; ++i)
        for (std::size_t j = 0; j < e; ++j)
          kernels::blend(beta, kernels::dot(a + (t * e + i) * m, b + (t * e + j) * m, m), c[(t * e + i) * e + j]);
  });
}

template <class T>
void basic_cpu<T>::pick(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* y, T* out) {
  for (std::size_t t = 0; t < n; ++t) kernels::check_id("pick_expert", t, id[t], e);
  for (std::size_t t = 0; t < n; ++t) {
    const T* row = y + (t * e + std::size_t(id[t])) * m;
    std::copy(row, row + m, out + t * m);
  }
}
template <class T>
void basic_cpu<T>::pick_gradient(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* dout,
                                 T beta, T* dy) {
  kernels::scale(beta, n * e * m, dy);
  for (std::size_t t = 0; t < n; ++t)
    for (std::size_t j = 0; j < m; ++j) dy[(t * e + std::size_t(id[t])) * m + j] += dout[t * m + j];
}

template <class T>
void basic_cpu<T>::top_k(std::size_t n, std::size_t e, std::size_t k, const T* x, std::int32_t* id) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(e * k), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) {
      const T* row = x + t * e;
      std::int32_t* chosen = id + t * k;
      for (std::size_t s = 0; s < k; ++s) {  // selection: k is small
        std::int32_t best = -1;
        for (std::size_t i = 0; i < e; ++i) {
          bool taken = false;
          for (std::size_t r = 0; r < s; ++r) taken = taken || chosen[r] == std::int32_t(i);
          const bool better = best < 0 || row[i] > row[best] || (row[best] != row[best] && row[i] == row[i]);
          if (!taken && better) best = std::int32_t(i);
        }
        chosen[s] = best;
      }
    }
  });
}
template <class T>
void basic_cpu<T>::permute(std::size_t n, std::size_t e, std::size_t k, const std::int32_t* id, std::int32_t* offsets,
                           std::int32_t* position, std::int32_t* source) {
  std::fill(offsets, offsets + e + 1, 0);
  for (std::size_t i = 0; i < n * k; ++i) {
    kernels::check_id("sort_by_expert", i / k, id[i], e);
    ++offsets[id[i] + 1];
  }
  for (std::size_t i = 0; i < e; ++i) offsets[i + 1] += offsets[i];
  for (std::size_t i = 0; i < n * k; ++i) {  // offsets[i] runs to the start of expert i + 1 ...
    const std::int32_t row = offsets[id[i]]++;
    position[i] = row;
    source[row] = std::int32_t(i / k);
  }
  for (std::size_t i = e; i > 0; --i) offsets[i] = offsets[i - 1];  // ... and is put back
  offsets[0] = 0;
}
template <class T>
void basic_cpu<T>::gather_rows(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id,
                               T* y) {
  for (std::size_t t = 0; t < n; ++t) kernels::check_id("take_rows", t, id[t], rows);
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(d), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t)
      std::copy(x + std::size_t(id[t]) * d, x + (std::size_t(id[t]) + 1) * d, y + t * d);
  });
}
template <class T>
void basic_cpu<T>::gather_columns(std::size_t n, std::size_t e, std::size_t k, const T* x, const std::int32_t* id,
                                  T* y) {
  for (std::size_t i = 0; i < n * k; ++i) {
    kernels::check_id("gather_columns", i / k, id[i], e);
    y[i] = x[(i / k) * e + std::size_t(id[i])];
  }
}
template <class T>
void basic_cpu<T>::gather_columns_gradient(std::size_t n, std::size_t e, std::size_t k, const T* dy,
                                           const std::int32_t* id, T beta, T* dx) {
  kernels::scale(beta, n * e, dx);
  for (std::size_t i = 0; i < n * k; ++i) dx[(i / k) * e + std::size_t(id[i])] += dy[i];
}
template <class T>
void basic_cpu<T>::combine(const permutation& p, std::size_t m, const T* w, const T* y, T beta, T* out) {
  kernels::for_chunks(*state_->pool, p.n, kernels::row_grain(p.k * m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) {
      T* o = out + t * m;
      kernels::scale(beta, m, o);
      for (std::size_t s = t * p.k; s < (t + 1) * p.k; ++s) {
        const T a = w ? w[s] : T(1);
        const T* row = y + std::size_t(p.position[s]) * m;
        for (std::size_t j = 0; j < m; ++j) o[j] += a * row[j];
      }
    }
  });
}
template <class T>
void basic_cpu<T>::combine_gradient(const permutation& p, std::size_t m, const T* w, const T* y, const T* dout,
                                    T beta_w, T* dw, T* dy) {
  kernels::for_chunks(*state_->pool, p.n, kernels::row_grain(p.k * m), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t s = t0 * p.k; s < t1 * p.k; ++s) {
      const T* g = dout + (s / p.k) * m;
      const std::size_t row = std::size_t(p.position[s]) * m;
      if (dw) kernels::blend(beta_w, kernels::dot(g, y + row, m), dw[s]);
      if (dy)
        for (std::size_t j = 0; j < m; ++j) dy[row + j] = w[s] * g[j];
    }
  });
}

}  // namespace modx
