// CUDA backend: gates, rotary positions, gradients of embeddings, means over sequences.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/rows.cuh>
#include <modx/backend/functor.hpp>

namespace modx::gpu {

/// y (n x f) = act(x[:, :f]) x[:, f:]; a thread a cell.
template <class T>
__global__ void gate_cells(activation act, std::size_t n, std::size_t f, const T* x, T* y) {
  for_cells(n, f, [=](std::size_t t, std::size_t j) {
    y[t * f + j] = activate(act, x[t * 2 * f + j]) * x[(t * 2 + 1) * f + j];
  });
}
template <class T>
__global__ void gate_cells_gradient(activation act, std::size_t n, std::size_t f, const T* x, const T* dy,
                                    T beta, T* dx) {
  for_cells(n, f, [=](std::size_t t, std::size_t j) {
    const T a = x[t * 2 * f + j], b = x[(t * 2 + 1) * f + j], g = dy[t * f + j];
    blend(beta, g * b * activation_slope(act, a), dx[t * 2 * f + j]);
    blend(beta, g * activate(act, a), dx[(t * 2 + 1) * f + j]);
  });
}
/// Pairs (j, j + half) of every head turn; a thread a pair of one token, through its heads.
template <class T>
__global__ void rotate_pairs(rotary_task task, std::size_t half, T* x) {
  for_cells(task.n, half, [=](std::size_t t, std::size_t j) {
    const double place = task.inverse ? -double(task.position[t]) : double(task.position[t]);
    const double angle = place * pow(task.base, -2.0 * double(j) / double(task.head_dim));
    const T c = static_cast<T>(cos(angle)), s = static_cast<T>(sin(angle));
    for (std::size_t i = 0; i < task.groups * task.heads; ++i) {
      T* low = x + t * task.row + i / task.heads * task.group + i % task.heads * task.head_dim + j;
      const T a = low[0], b = low[half];
      low[0] = a * c - b * s;
      low[half] = b * c + a * s;
    }
  });
}
template <class T>
__global__ void round_ids(std::size_t n, const T* x, std::int32_t* id) {
  for_elements(n, [=](std::size_t i) { id[i] = fn::as_id(x[i]); });
}
/// dx (rows x d) = beta dx; a thread a cell.
template <class T>
__global__ void scale_cells(std::size_t n, T beta, T* x) {
  for_elements(n, [=](std::size_t i) { x[i] = beta == T(0) ? T(0) : beta * x[i]; });
}
/// dx[id[t]] += dy of every token with that id, in order, by the warp of the first such token.
template <class T>
__global__ void add_rows_by_id(std::size_t n, std::size_t rows, std::size_t d, const T* dy,
                               const std::int32_t* id, T* dx) {
  for_rows(n, 32, [=](std::size_t t, bool live, unsigned lane) {
    const std::int32_t own = live ? id[t] : -1;
    int earlier = 0;
    for (std::size_t i = lane; i < t; i += 32) earlier |= id[i] == own;
    earlier = lane_max(earlier, 32);
    if (!live || earlier || own < 0 || static_cast<std::size_t>(own) >= rows) return;
    T* out = dx + static_cast<std::size_t>(own) * d;
    for (std::size_t i = t; i < n; ++i) {
      if (id[i] != own) continue;
      for (std::size_t j = lane; j < d; j += 32) out[j] += dy[i * d + j];
    }
  });
}
/// y[id[t]] = x[t]; a thread a cell.
template <class T>
__global__ void put_each_row(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id, T* y,
                             report_slot* slot) {
  for_cells(n, d, [=](std::size_t t, std::size_t j) {
    if (checked(slot, t, id[t], rows)) y[static_cast<std::size_t>(id[t]) * d + j] = x[t * d + j];
  });
}
/// y[s] = mean of the rows of sequence s; a thread a cell.
template <class T>
__global__ void mean_each_sequence(sequences s, std::size_t d, const T* x, T* y) {
  for_cells(s.count, d, [=](std::size_t i, std::size_t j) {
    const auto first = static_cast<std::size_t>(s.offsets[i]),
               last = static_cast<std::size_t>(s.offsets[i + 1]);
    T sum = 0;
    for (std::size_t t = first; t < last; ++t) sum += x[t * d + j];
    y[i * d + j] = last > first ? sum * (T(1) / T(last - first)) : T(0);
  });
}
template <class T>
__global__ void mean_each_sequence_gradient(sequences s, std::size_t d, const T* dy, T beta, T* dx) {
  for_cells(s.count, d, [=](std::size_t i, std::size_t j) {
    const auto first = static_cast<std::size_t>(s.offsets[i]),
               last = static_cast<std::size_t>(s.offsets[i + 1]);
    for (std::size_t t = first; t < last; ++t) blend(beta, dy[i * d + j] / T(last - first), dx[t * d + j]);
  });
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::gate(activation act, std::size_t n, std::size_t f, const T* x, T* y) {
  if (n && f) state_->device.launch(gpu::gate_cells<T>, gpu::cells(n, f), act, n, f, x, y);
}
template <class T>
void basic_cuda<T>::gate_gradient(activation act, std::size_t n, std::size_t f, const T* x, const T* dy,
                                  T beta, T* dx) {
  if (n && f)
    state_->device.launch(gpu::gate_cells_gradient<T>, gpu::cells(n, f), act, n, f, x, dy, beta, dx);
}
template <class T>
void basic_cuda<T>::rotate(const rotary_task& task, T* x) {
  const std::size_t half = task.head_dim / 2;
  if (task.n && half) state_->device.launch(gpu::rotate_pairs<T>, gpu::cells(task.n, half), task, half, x);
}
template <class T>
void basic_cuda<T>::ids_of(std::size_t n, const T* x, std::int32_t* id) {
  if (n) state_->device.launch(gpu::round_ids<T>, gpu::elements(n), n, x, id);
}
template <class T>
void basic_cuda<T>::scatter_rows(std::size_t n, std::size_t rows, std::size_t d, const T* dy,
                                 const std::int32_t* id, T beta, T* dx) {
  if (rows && d && beta != T(1))
    state_->device.launch(gpu::scale_cells<T>, gpu::elements(rows * d), rows * d, beta, dx);
  if (n && d) state_->device.launch(gpu::add_rows_by_id<T>, gpu::row_groups(n, 32), n, rows, d, dy, id, dx);
}
template <class T>
void basic_cuda<T>::put_rows(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id, T* y) {
  if (n == 0 || d == 0) return;
  auto* slot = state_->device.reporter("put_rows", rows);
  state_->device.launch(gpu::put_each_row<T>, gpu::cells(n, d), n, rows, d, x, id, y, slot);
}
template <class T>
void basic_cuda<T>::sequence_means(const sequences& s, std::size_t d, const T* x, T* y) {
  if (s.count && d) state_->device.launch(gpu::mean_each_sequence<T>, gpu::cells(s.count, d), s, d, x, y);
}
template <class T>
void basic_cuda<T>::sequence_means_gradient(const sequences& s, std::size_t d, const T* dy, T beta, T* dx) {
  if (s.count && d)
    state_->device.launch(gpu::mean_each_sequence_gradient<T>, gpu::cells(s.count, d), s, d, dy, beta, dx);
}

}  // namespace modx
