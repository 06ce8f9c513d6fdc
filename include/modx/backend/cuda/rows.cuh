// CUDA backend: functions along rows and columns, and sums.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/loops.cuh>
#include <modx/backend/math.hpp>

namespace modx::gpu {

/// Largest of a row of d; NaN wins.
template <class T>
__device__ T row_max(const T* row, std::size_t d, unsigned g, unsigned lane) {
  T m = row[lane < d ? lane : 0];
  for (std::size_t j = lane + g; j < d; j += g) m = larger(m, row[j]);
  return lane_max(m, g);
}
/// Sum of f(j) over j < d: lane l adds l, l + g, ..., then the lanes in a tree.
template <class T, class F>
__device__ T row_sum(std::size_t d, unsigned g, unsigned lane, F f) {
  T s = 0;
  for (std::size_t j = lane; j < d; j += g) s += f(j);
  return lane_sum(s, g);
}

/// x: n x d -> softmax and log_softmax n x d, log_sum_exp and sum n x 1.  g lanes a row.
template <class T>
__global__ void row_values(row_function f, std::size_t n, std::size_t d, unsigned g, const T* x, T* y) {
  for_rows(n, g, [=](std::size_t t, bool live, unsigned lane) {
    const T* row = x + t * d;
    if (f == row_function::sum) {
      const T s = row_sum<T>(d, g, lane, [=](std::size_t j) { return row[j]; });
      if (live && lane == 0) y[t] = s;
      return;
    }
    const T shift = row_max(row, d, g, lane);
    const T s = row_sum<T>(d, g, lane, [=](std::size_t j) { return fast_exp(row[j] - shift); });
    if (!live) return;
    if (f == row_function::log_sum_exp) {
      if (lane == 0) y[t] = shift + std::log(s);
      return;
    }
    const T scale = T(1) / s, log_sum = std::log(s);
    for (std::size_t j = lane; j < d; j += g)
      y[t * d + j] = f == row_function::softmax ? fast_exp(row[j] - shift) * scale : (row[j] - shift) - log_sum;
  });
}
/// softmax: dx = y (dy - <dy, y>); log_softmax: dy - softmax sum(dy); log_sum_exp: dy softmax; sum: dy.  g lanes a row.
template <class T>
__global__ void row_gradients(row_function f, std::size_t n, std::size_t d, unsigned g, const T* x, const T* y,
                              const T* dy, T beta, T* dx) {
  for_rows(n, g, [=](std::size_t t, bool live, unsigned lane) {
    const bool wide = f == row_function::softmax || f == row_function::log_softmax;
    const T *xt = x + t * d, *yt = wide ? y + t * d : y + t, *gt = wide ? dy + t * d : dy + t;
    T s = 0;
    if (wide)
      s = row_sum<T>(d, g, lane, [=](std::size_t j) { return f == row_function::softmax ? gt[j] * yt[j] : gt[j]; });
    if (!live) return;
    for (std::size_t j = lane; j < d; j += g) {
      T v = gt[0];
      if (f == row_function::softmax) v = yt[j] * (gt[j] - s);
      if (f == row_function::log_softmax) v = gt[j] - fast_exp(yt[j]) * s;
      if (f == row_function::log_sum_exp) v *= fast_exp(xt[j] - yt[0]);
      blend(beta, v, dx[t * d + j]);
    }
  });
}
/// y (n x 1) = beta y + <a_t, b_t>.  g lanes a row.
template <class T>
__global__ void dot_each_row(std::size_t n, std::size_t d, unsigned g, const T* a, const T* b, T beta, T* y) {
  for_rows(n, g, [=](std::size_t t, bool live, unsigned lane) {
    const T s = row_sum<T>(d, g, lane, [=](std::size_t j) { return a[t * d + j] * b[t * d + j]; });
    if (live && lane == 0) blend(beta, s, y[t]);
  });
}
/// y (n x d) = beta y + s_t x.
template <class T>
__global__ void scale_each_row(std::size_t n, std::size_t d, const T* x, const T* s, T beta, T* y) {
  for_cells(n, d, [=](std::size_t t, std::size_t j) { blend(beta, s[t] * x[t * d + j], y[t * d + j]); });
}
/// y (n x d) = x + r.
template <class T>
__global__ void add_to_each_row(std::size_t n, std::size_t d, const T* x, const T* r, T* y) {
  for_cells(n, d, [=](std::size_t t, std::size_t j) { y[t * d + j] = x[t * d + j] + r[j]; });
}
/// y (n x d) = beta y + a r.
template <class T>
__global__ void spread_row(std::size_t n, std::size_t d, T a, const T* r, T beta, T* y) {
  for_cells(n, d, [=](std::size_t t, std::size_t j) { blend(beta, a * r[j], y[t * d + j]); });
}
/// n x m cells from rows x_stride apart to rows y_stride apart: y = beta y + x.
template <class T>
__global__ void copy_cells(std::size_t n, std::size_t m, std::size_t x_stride, const T* x, T beta, std::size_t y_stride,
                           T* y) {
  for_cells(n, m, [=](std::size_t t, std::size_t j) { blend(beta, x[t * x_stride + j], y[t * y_stride + j]); });
}

inline constexpr unsigned sum_columns = 32, sum_lanes = 8;

/// Column sums of the rows of one part: block (32, 8) takes 32 columns and `rows` rows (part blockIdx.y); lane l adds
/// rows l, l + 8, ... of them, then the lanes are added in order.  One part: y = beta y + a sums; more: parts[part][d].
template <class T>
__global__ void column_parts(std::size_t n, std::size_t d, std::size_t stride, std::size_t rows, T a, const T* x,
                             T beta, T* y, T* parts) {
  MODX_SHARED(T, sums, sum_lanes * sum_columns);
  const std::size_t j = std::size_t(blockIdx.x) * sum_columns + threadIdx.x, first = blockIdx.y * rows;
  const std::size_t last = first + rows < n ? first + rows : n;
  T s = 0;
  if (j < d)
    for (std::size_t t = first + threadIdx.y; t < last; t += sum_lanes) s += x[t * stride + j];
  sums[threadIdx.y * sum_columns + threadIdx.x] = s;
  __syncthreads();
  if (threadIdx.y != 0 || j >= d) return;
  s = 0;
  for (unsigned l = 0; l < sum_lanes; ++l) s += sums[l * sum_columns + threadIdx.x];
  if (gridDim.y == 1) {
    blend(beta, a * s, y[j]);
  } else {
    parts[blockIdx.y * d + j] = s;
  }
}
/// y (1 x d) = beta y + a times the sum of `count` parts, in order; a thread a column.
template <class T>
__global__ void add_parts(std::size_t count, std::size_t d, T a, const T* parts, T beta, T* y) {
  for_elements(d, [=](std::size_t j) {
    T s = 0;
    for (std::size_t p = 0; p < count; ++p) s += parts[p * d + j];
    blend(beta, a * s, y[j]);
  });
}

/// parts[block] = sum of its 4096 values.
template <class T>
__global__ void sum_pieces(std::size_t n, const T* x, double* parts) {
  const std::size_t first = blockIdx.x * piece, last = first + piece < n ? first + piece : n;
  T s = 0;
  for (std::size_t i = first + threadIdx.x; i < last; i += blockDim.x) s += x[i];
  const double total = block_sum(double(s));
  if (threadIdx.x == 0) parts[blockIdx.x] = total;
}
/// One tensor of a norm.
template <class T>
struct norm_entry {
  unsigned first;
  std::size_t size;
  const T* g;
};
/// parts[block] = sum of the squares of its piece of a list of tensors.
template <class T>
__global__ void square_pieces(const norm_entry<T>* list, unsigned count, double* parts) {
  const norm_entry<T>& e = entry_of_block(list, count);
  const std::size_t first = (blockIdx.x - e.first) * piece, last = first + piece < e.size ? first + piece : e.size;
  double s = 0;
  for (std::size_t i = first + threadIdx.x; i < last; i += blockDim.x) s += double(e.g[i]) * double(e.g[i]);
  const double total = block_sum(s);
  if (threadIdx.x == 0) parts[blockIdx.x] = total;
}
/// *y = a * sum of n parts; one block.
template <class T>
__global__ void sum_of_parts(std::size_t n, double a, const double* parts, T* y) {
  double s = 0;
  for (std::size_t i = threadIdx.x; i < n; i += blockDim.x) s += parts[i];
  const double total = block_sum(s);
  if (threadIdx.x == 0) *y = T(a * total);
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::rows(row_function f, std::size_t n, std::size_t d, const T* x, T* y) {
  if (n == 0 || (d == 0 && f != row_function::sum)) return;
  const unsigned g = gpu::lanes_for(d);
  state_->device.launch(gpu::row_values<T>, gpu::row_groups(n, g), f, n, d, g, x, y);
}
template <class T>
void basic_cuda<T>::rows_gradient(row_function f, std::size_t n, std::size_t d, const T* x, const T* y, const T* dy,
                                  T beta, T* dx) {
  if (n == 0 || d == 0) return;
  const unsigned g = gpu::lanes_for(d);
  state_->device.launch(gpu::row_gradients<T>, gpu::row_groups(n, g), f, n, d, g, x, y, dy, beta, dx);
}
template <class T>
void basic_cuda<T>::scale_rows(std::size_t n, std::size_t d, const T* x, const T* s, T beta, T* y) {
  if (n && d) state_->device.launch(gpu::scale_each_row<T>, gpu::cells(n, d), n, d, x, s, beta, y);
}
template <class T>
void basic_cuda<T>::dot_rows(std::size_t n, std::size_t d, const T* a, const T* b, T beta, T* y) {
  const unsigned g = gpu::lanes_for(d);
  if (n) state_->device.launch(gpu::dot_each_row<T>, gpu::row_groups(n, g), n, d, g, a, b, beta, y);
}
template <class T>
void basic_cuda<T>::add_row(std::size_t n, std::size_t d, const T* x, const T* r, T* y) {
  if (n && d) state_->device.launch(gpu::add_to_each_row<T>, gpu::cells(n, d), n, d, x, r, y);
}
template <class T>
void basic_cuda<T>::column_sums(std::size_t n, std::size_t d, std::size_t stride, T a, const T* x, T beta, T* y) {
  if (d == 0) return;
  const std::size_t rows = std::max<std::size_t>(256, (n + 1023) / 1024);  // a part; depends on n only
  const std::size_t parts = std::max<std::size_t>(1, (n + rows - 1) / rows);
  T* sums = parts > 1 ? state_->device.template scratch<T>(parts * d) : nullptr;
  const auto blocks = static_cast<unsigned>((d + gpu::sum_columns - 1) / gpu::sum_columns);
  state_->device.launch(
      gpu::column_parts<T>,
      gpu::geometry{dim3(blocks, static_cast<unsigned>(parts)), dim3(gpu::sum_columns, gpu::sum_lanes)}, n, d, stride,
      rows, a, x, beta, y, sums);
  if (parts > 1) state_->device.launch(gpu::add_parts<T>, gpu::elements(d), parts, d, a, sums, beta, y);
}
template <class T>
void basic_cuda<T>::broadcast_row(std::size_t n, std::size_t d, T a, const T* r, T beta, T* y) {
  if (n && d) state_->device.launch(gpu::spread_row<T>, gpu::cells(n, d), n, d, a, r, beta, y);
}
template <class T>
void basic_cuda<T>::take_columns(std::size_t n, std::size_t d, std::size_t from, std::size_t m, const T* x, T beta,
                                 T* y) {
  if (n && m) state_->device.launch(gpu::copy_cells<T>, gpu::cells(n, m), n, m, d, x + from, beta, m, y);
}
template <class T>
void basic_cuda<T>::put_columns(std::size_t n, std::size_t d, std::size_t from, std::size_t m, const T* x, T beta,
                                T* y) {
  if (n && m) state_->device.launch(gpu::copy_cells<T>, gpu::cells(n, m), n, m, m, x, beta, d, y + from);
}
template <class T>
void basic_cuda<T>::sum(std::size_t n, T a, const T* x, T* y) {
  const unsigned blocks = gpu::pieces(n);
  auto* parts = state_->device.template scratch<double>(blocks);
  if (n) state_->device.launch(gpu::sum_pieces<T>, gpu::geometry{dim3(blocks), dim3(gpu::block_threads)}, n, x, parts);
  state_->device.launch(gpu::sum_of_parts<T>, gpu::geometry{dim3(1), dim3(gpu::block_threads)}, blocks, a, parts, y);
}
template <class T>
double basic_cuda<T>::squared_norm(std::span<const update_task<T>> tensors) {
  auto& list = state_->norms;
  list.clear();
  unsigned blocks = 0;
  for (const auto& t : tensors) {
    if (t.size == 0) continue;
    list.push_back({blocks, t.size, t.g});
    blocks += gpu::pieces(t.size);
  }
  if (list.empty()) return 0;
  auto& device = state_->device;
  auto* parts = device.template scratch<double>(blocks + 1);
  const auto* table = device.table(std::span<const gpu::norm_entry<T>>(list));
  device.launch(gpu::square_pieces<T>, gpu::geometry{dim3(blocks), dim3(gpu::block_threads)}, table, list.size(),
                parts);
  device.launch(gpu::sum_of_parts<double>, gpu::geometry{dim3(1), dim3(gpu::block_threads)}, blocks, 1.0, parts,
                parts + blocks);
  double total = 0;
  device.download(&total, parts + blocks, sizeof total);
  return total;
}

}  // namespace modx
