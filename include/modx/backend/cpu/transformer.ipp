// CPU backend: what transformers need: norms, rotary positions, attention, gates, embeddings, means over
// sequences.
#pragma once
#include <cmath>
#include <modx/backend/cpu/attention.hpp>
#include <modx/backend/math.hpp>

namespace modx {

namespace kernels {

/// Mean (0 unless centred) and 1 / sqrt(spread + eps) of a row.
template <class T>
struct row_moments {
  T mean = 0, inverse = 0;
  row_moments(const norm_task& task, const T* x) {
    const std::size_t d = task.d;
    if (task.centred) mean = lane_sum<T>(d, [=](std::size_t j) { return x[j]; }) / T(d);
    const T m = mean;
    const T spread = lane_sum<T>(d, [=](std::size_t j) { return (x[j] - m) * (x[j] - m); }) / T(d);
    inverse = T(1) / std::sqrt(spread + T(task.eps));
  }
};

/// Rows in at most 64 chunks, by the shape alone: each adds up its own gradients of gain and bias, then those
/// are added.
struct norm_sums {
  std::size_t width, grain, chunks;
  explicit norm_sums(const norm_task& task)
      : width(task.gain_group ? task.groups * task.gain_group : task.d),
        grain(std::max(row_grain(task.d * task.groups), (task.n + 63) / 64)),
        chunks((task.n + grain - 1) / grain) {}
};

/// f(the activation as a constant), so that a loop over it vectorises.
template <class F>
void with_activation(activation act, F f) {
  switch (act) {
    case activation::none:
      return f(std::integral_constant<activation, activation::none>());
    case activation::relu:
      return f(std::integral_constant<activation, activation::relu>());
    case activation::gelu:
      return f(std::integral_constant<activation, activation::gelu>());
    case activation::silu:
      return f(std::integral_constant<activation, activation::silu>());
    case activation::tanh:
      return f(std::integral_constant<activation, activation::tanh>());
  }
}

}  // namespace kernels

template <class T>
void basic_cpu<T>::normalize(const norm_task& task, const T* x, const T* gain, const T* bias, T* y) {
  const std::size_t d = task.d;
  kernels::for_chunks(*state_->pool, task.n, kernels::row_grain(d * task.groups),
                      [=](std::size_t t0, std::size_t t1) {
                        for (std::size_t t = t0; t < t1; ++t)
                          for (std::size_t i = 0; i < task.groups; ++i) {
                            const T* row = x + t * task.x_row + i * task.x_group;
                            T* out = y + t * task.y_row + i * task.y_group;
                            const kernels::row_moments<T> m(task, row);
                            for (std::size_t j = 0; j < d; ++j) out[j] = (row[j] - m.mean) * m.inverse;
                            if (gain)
                              for (std::size_t j = 0; j < d; ++j) out[j] *= gain[i * task.gain_group + j];
                            if (bias)
                              for (std::size_t j = 0; j < d; ++j) out[j] += bias[i * task.gain_group + j];
                          }
                      });
}
template <class T>
std::size_t basic_cpu<T>::normalize_workspace(const norm_task& task) const {
  const kernels::norm_sums cut(task);
  return cut.chunks * 2 * cut.width;
}
template <class T>
void basic_cpu<T>::normalize_gradient(const norm_task& task, const T* x, const T* gain, const T* dy, T beta_x,
                                      T* dx, T beta_gain, T* dgain, T beta_bias, T* dbias, T* workspace) {
  const kernels::norm_sums cut(task);
  const std::size_t n = task.n, d = task.d, width = cut.width, grain = cut.grain, chunks = cut.chunks;
  const bool sums = dgain || dbias;
  T* const parts = workspace;
  kernels::for_chunks(*state_->pool, n, grain, [=](std::size_t t0, std::size_t t1) {
    T* part = parts + t0 / grain * 2 * width;
    if (sums) std::fill_n(part, 2 * width, T(0));
    for (std::size_t t = t0; t < t1; ++t)
      for (std::size_t i = 0; i < task.groups; ++i) {
        const T *row = x + t * task.x_row + i * task.x_group, *g = dy + t * task.y_row + i * task.y_group;
        const T* a = gain ? gain + i * task.gain_group : nullptr;
        const kernels::row_moments<T> m(task, row);
        if (sums) {
          T* own = part + i * task.gain_group;
          for (std::size_t j = 0; j < d; ++j) own[j] += g[j] * ((row[j] - m.mean) * m.inverse);
          for (std::size_t j = 0; j < d; ++j) own[width + j] += g[j];
        }
        if (!dx) continue;
        const auto slope = [=](std::size_t j) { return a ? g[j] * a[j] : g[j]; };
        const T mean = task.centred ? kernels::lane_sum<T>(d, slope) / T(d) : T(0);
        const T along = kernels::lane_sum<T>(
                            d, [=](std::size_t j) { return slope(j) * ((row[j] - m.mean) * m.inverse); }) /
                        T(d);
        T* out = dx + t * task.x_row + i * task.x_group;
        const T beta = i && task.x_group == 0 ? T(1) : beta_x;
        for (std::size_t j = 0; j < d; ++j)
          kernels::blend(beta, m.inverse * (slope(j) - mean - (row[j] - m.mean) * m.inverse * along), out[j]);
      }
  });
  const auto add_up = [=](std::size_t from, T beta, T* out) {
    for (std::size_t j = 0; j < width; ++j) {
      T s = 0;
      for (std::size_t c = 0; c < chunks; ++c) s += parts[c * 2 * width + from + j];
      kernels::blend(beta, s, out[j]);
    }
  };
  if (dgain) add_up(0, beta_gain, dgain);
  if (dbias) add_up(width, beta_bias, dbias);
}

template <class T>
void basic_cpu<T>::rotate(const rotary_task& task, T* x) {
  const std::size_t half = task.head_dim / 2;
  std::vector<double>& turn = state_->turns;
  if (turn.size() < half) turn.resize(half);
  for (std::size_t j = 0; j < half; ++j)
    turn[j] = std::pow(task.base, -2.0 * double(j) / double(task.head_dim));
  const double* const speed = turn.data();
  kernels::for_chunks(
      *state_->pool, task.n, kernels::row_grain(task.groups * task.heads * task.head_dim),
      [=](std::size_t t0, std::size_t t1) {
        T* const c = kernels::attention_scratch<T>(2 * half);
        T* const s = c + half;
        for (std::size_t t = t0; t < t1; ++t) {
          const double place = task.inverse ? -double(task.position[t]) : double(task.position[t]);
          for (std::size_t j = 0; j < half; ++j) {
            c[j] = T(std::cos(place * speed[j]));
            s[j] = T(std::sin(place * speed[j]));
          }
          for (std::size_t i = 0; i < task.groups * task.heads; ++i) {
            T* low = x + t * task.row + i / task.heads * task.group + i % task.heads * task.head_dim;
            T* high = low + half;
            for (std::size_t j = 0; j < half; ++j) {
              const T a = low[j], b = high[j];
              low[j] = a * c[j] - b * s[j];
              high[j] = b * c[j] + a * s[j];
            }
          }
        }
      });
}

template <class T>
void basic_cpu<T>::attention(const attention_task& task, const T* q, const T* k, const T* v, T* out,
                             T* log_sum) {
  const std::size_t blocks = (task.q.longest + kernels::query_block - 1) / kernels::query_block;
  state_->pool->run(kernels::attention_part<T>::parts(task) * blocks, [=](std::size_t i) {
    const kernels::attention_part<T> part(task, i / blocks);
    const std::size_t r = i % blocks * kernels::query_block;
    if (r < part.lq) kernels::attention_forward(part, r, q, k, v, out, log_sum);
  });
}
template <class T>
void basic_cpu<T>::attention_gradient(const attention_task& task, const T* q, const T* k, const T* v,
                                      const T* out, const T* log_sum, const T* dout, T* dq, T* dk, T* dv) {
  state_->pool->run(kernels::attention_part<T>::parts(task), [=](std::size_t i) {
    kernels::attention_backward(kernels::attention_part<T>(task, i), q, k, v, out, log_sum, dout, dq, dk, dv);
  });
}

template <class T>
void basic_cpu<T>::gate(activation act, std::size_t n, std::size_t f, const T* x, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(f), [=](std::size_t t0, std::size_t t1) {
    kernels::with_activation(act, [=](auto kind) {
      for (std::size_t t = t0; t < t1; ++t) {
        const T *a = x + t * 2 * f, *b = a + f;
        T* out = y + t * f;
        for (std::size_t j = 0; j < f; ++j) out[j] = activate(kind(), a[j]) * b[j];
      }
    });
  });
}
template <class T>
void basic_cpu<T>::gate_gradient(activation act, std::size_t n, std::size_t f, const T* x, const T* dy,
                                 T beta, T* dx) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(f), [=](std::size_t t0, std::size_t t1) {
    kernels::with_activation(act, [=](auto kind) {
      for (std::size_t t = t0; t < t1; ++t) {
        const T *a = x + t * 2 * f, *b = a + f, *g = dy + t * f;
        T *da = dx + t * 2 * f, *db = da + f;
        for (std::size_t j = 0; j < f; ++j)
          kernels::blend(beta, g[j] * b[j] * activation_slope(kind(), a[j]), da[j]);
        for (std::size_t j = 0; j < f; ++j) kernels::blend(beta, g[j] * activate(kind(), a[j]), db[j]);
      }
    });
  });
}

template <class T>
void basic_cpu<T>::ids_of(std::size_t n, const T* x, std::int32_t* id) {
  for (std::size_t i = 0; i < n; ++i) id[i] = fn::as_id(x[i]);
}
template <class T>
void basic_cpu<T>::scatter_rows(std::size_t n, std::size_t rows, std::size_t d, const T* dy,
                                const std::int32_t* id, T beta, T* dx) {
  constexpr std::size_t block = 64;  // one chunk owns whole columns: the order of additions is fixed
  kernels::for_chunks(*state_->pool, rows, kernels::row_grain(d), [=](std::size_t r0, std::size_t r1) {
    kernels::scale(beta, (r1 - r0) * d, dx + r0 * d);
  });
  kernels::for_chunks(*state_->pool, d, n * d > kernels::element_grain ? block : d + 1,
                      [=](std::size_t j0, std::size_t j1) {
                        for (std::size_t t = 0; t < n; ++t) {
                          T* out = dx + std::size_t(id[t]) * d;
                          for (std::size_t j = j0; j < j1; ++j) out[j] += dy[t * d + j];
                        }
                      });
}
template <class T>
void basic_cpu<T>::put_rows(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id, T* y) {
  for (std::size_t t = 0; t < n; ++t) kernels::check_id("put_rows", t, id[t], rows);
  for (std::size_t t = 0; t < n; ++t) std::copy(x + t * d, x + (t + 1) * d, y + std::size_t(id[t]) * d);
}
template <class T>
void basic_cpu<T>::sequence_means(const sequences& s, std::size_t d, const T* x, T* y) {
  kernels::for_chunks(*state_->pool, s.count, 1, [=](std::size_t i0, std::size_t i1) {
    for (std::size_t i = i0; i < i1; ++i) {
      T* out = y + i * d;
      std::fill_n(out, d, T(0));
      const auto first = std::size_t(s.offsets[i]), last = std::size_t(s.offsets[i + 1]);
      for (std::size_t t = first; t < last; ++t)
        for (std::size_t j = 0; j < d; ++j) out[j] += x[t * d + j];
      const T share = last > first ? T(1) / T(last - first) : T(0);
      for (std::size_t j = 0; j < d; ++j) out[j] *= share;
    }
  });
}
template <class T>
void basic_cpu<T>::sequence_means_gradient(const sequences& s, std::size_t d, const T* dy, T beta, T* dx) {
  kernels::for_chunks(*state_->pool, s.count, 1, [=](std::size_t i0, std::size_t i1) {
    for (std::size_t i = i0; i < i1; ++i) {
      const auto first = std::size_t(s.offsets[i]), last = std::size_t(s.offsets[i + 1]);
      for (std::size_t t = first; t < last; ++t)
        for (std::size_t j = 0; j < d; ++j)
          kernels::blend(beta, dy[i * d + j] / T(last - first), dx[t * d + j]);
    }
  });
}

}  // namespace modx
