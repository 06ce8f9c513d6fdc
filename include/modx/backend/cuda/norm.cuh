// CUDA backend: layer and RMS norms of rows in groups.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/rows.cuh>

namespace modx::gpu {

/// Mean (0 unless centred) and 1 / sqrt(spread + eps) of a row; every lane gets them.
template <class T>
struct row_moments {
  T mean, inverse;
  __device__ row_moments(const norm_task& task, const T* x, unsigned g, unsigned lane) : mean(0) {
    if (task.centred) mean = row_sum<T>(task.d, g, lane, [=](std::size_t j) { return x[j]; }) / T(task.d);
    const T m = mean;
    const T spread =
        row_sum<T>(task.d, g, lane, [=](std::size_t j) { return (x[j] - m) * (x[j] - m); }) / T(task.d);
    inverse = T(1) / std::sqrt(spread + T(task.eps));
  }
};

/// y = gain x^ + bias; g lanes a row of a group.
template <class T>
__global__ void normalize_rows(norm_task task, unsigned g, const T* x, const T* gain, const T* bias, T* y) {
  for_rows(task.n * task.groups, g, [=](std::size_t r, bool live, unsigned lane) {
    const std::size_t t = r / task.groups, i = r % task.groups, at = i * task.gain_group;
    const T* row = x + t * task.x_row + i * task.x_group;
    const row_moments<T> m(task, row, g, lane);
    if (!live) return;
    T* out = y + t * task.y_row + i * task.y_group;
    for (std::size_t j = lane; j < task.d; j += g) {
      T v = (row[j] - m.mean) * m.inverse;
      if (gain) v *= gain[at + j];
      out[j] = bias ? v + bias[at + j] : v;
    }
  });
}
/// dx = inverse (s - mean(s) [centred] - x^ mean(s x^)), s = dy gain; groups that share x are added in order.
/// g lanes a row of x.
template <class T>
__global__ void normalize_rows_gradient(norm_task task, unsigned g, const T* x, const T* gain, const T* dy,
                                        T beta, T* dx) {
  const bool shared = task.x_group == 0;
  const std::size_t own = shared ? 1 : task.groups;
  for_rows(task.n * own, g, [=](std::size_t r, bool live, unsigned lane) {
    const std::size_t t = r / own, first = shared ? 0 : r % own, last = shared ? task.groups : first + 1;
    const T* row = x + t * task.x_row + first * task.x_group;
    T* out = dx + t * task.x_row + first * task.x_group;
    const row_moments<T> m(task, row, g, lane);
    for (std::size_t i = first; i < last; ++i) {
      const T* slope = dy + t * task.y_row + i * task.y_group;
      const T* a = gain ? gain + i * task.gain_group : nullptr;
      const auto s = [=](std::size_t j) { return a ? slope[j] * a[j] : slope[j]; };
      const T mean = task.centred ? row_sum<T>(task.d, g, lane, s) / T(task.d) : T(0);
      const T along =
          row_sum<T>(task.d, g, lane, [=](std::size_t j) { return s(j) * ((row[j] - m.mean) * m.inverse); }) /
          T(task.d);
      if (!live) continue;
      for (std::size_t j = lane; j < task.d; j += g)
        blend(i > first ? T(1) : beta, m.inverse * (s(j) - mean - (row[j] - m.mean) * m.inverse * along),
              out[j]);
    }
  });
}
/// products (rows x d) = dy x^ for the rows of group i, or of all groups: what the gradient of a gain sums.
/// g lanes a row.
template <class T>
__global__ void normalized_products(norm_task task, unsigned g, const T* x, const T* dy, T* products) {
  for_rows(task.n * task.groups, g, [=](std::size_t r, bool live, unsigned lane) {
    const std::size_t t = r / task.groups, i = r % task.groups;
    const T* row = x + t * task.x_row + i * task.x_group;
    const row_moments<T> m(task, row, g, lane);
    if (!live) return;
    for (std::size_t j = lane; j < task.d; j += g)
      products[r * task.d + j] = dy[t * task.y_row + i * task.y_group + j] * ((row[j] - m.mean) * m.inverse);
  });
}
/// to (rows x d, close together) = the rows of the groups of dy.
template <class T>
__global__ void collect_groups(norm_task task, const T* dy, T* to) {
  for_cells(task.n * task.groups, task.d, [=](std::size_t r, std::size_t j) {
    to[r * task.d + j] = dy[r / task.groups * task.y_row + r % task.groups * task.y_group + j];
  });
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::normalize(const norm_task& task, const T* x, const T* gain, const T* bias, T* y) {
  const unsigned g = gpu::lanes_for(task.d);
  if (task.n * task.groups * task.d == 0) return;
  state_->device.launch(gpu::normalize_rows<T>, gpu::row_groups(task.n * task.groups, g), task, g, x, gain,
                        bias, y);
}
template <class T>
std::size_t basic_cuda<T>::normalize_workspace(const norm_task& task) const {
  return task.n * task.groups * task.d;
}
template <class T>
void basic_cuda<T>::normalize_gradient(const norm_task& task, const T* x, const T* gain, const T* dy,
                                       T beta_x, T* dx, T beta_gain, T* dgain, T beta_bias, T* dbias,
                                       T* workspace) {
  const unsigned g = gpu::lanes_for(task.d);
  const std::size_t rows = task.n * task.groups;
  const std::size_t width = task.gain_group ? task.groups * task.d : task.d,
                    sums = task.gain_group ? task.n : rows;
  if (width == 0) return;
  if (dx && rows) {
    const std::size_t own = task.x_group ? rows : task.n;
    state_->device.launch(gpu::normalize_rows_gradient<T>, gpu::row_groups(own, g), task, g, x, gain, dy,
                          beta_x, dx);
  }
  if (!dgain && !dbias) return;
  T* const products = workspace;  // summed in the fixed order of column_sums
  if (dgain) {
    if (rows)
      state_->device.launch(gpu::normalized_products<T>, gpu::row_groups(rows, g), task, g, x, dy, products);
    column_sums(sums, width, width, 1, products, beta_gain, dgain);
  }
  if (dbias) {
    if (rows) state_->device.launch(gpu::collect_groups<T>, gpu::cells(rows, task.d), task, dy, products);
    column_sums(sums, width, width, 1, products, beta_bias, dbias);
  }
}

}  // namespace modx
