// How threads share work, and reductions in a fixed order.
#pragma once
#include <cmath>
#include <modx/backend/cuda/context.cuh>

namespace modx::gpu {

inline constexpr unsigned block_threads = 256;

// -- elements: thread i takes i, i + threads, ...
inline geometry elements(std::size_t n) {
  const std::size_t blocks = (n + block_threads - 1) / block_threads;
  return {dim3(static_cast<unsigned>(std::min<std::size_t>(blocks, 1 << 16))), dim3(block_threads)};
}
template <class F>
__device__ void for_elements(std::size_t n, F f) {
  const std::size_t step = std::size_t(gridDim.x) * blockDim.x;
  for (std::size_t i = std::size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) f(i);
}

// -- cells (t, j) of n x d: neighbours in a row belong to neighbouring threads
inline geometry cells(std::size_t n, std::size_t d) {
  unsigned x = 1;
  while (x < block_threads && x < d) x *= 2;
  const unsigned y = block_threads / x;
  return {dim3(static_cast<unsigned>(std::min<std::size_t>((d + x - 1) / x, 1 << 16)),
               static_cast<unsigned>(std::min<std::size_t>((n + y - 1) / y, 1 << 15))),
          dim3(x, y)};
}
template <class F>
__device__ void for_cells(std::size_t n, std::size_t d, F f) {
  const std::size_t down = std::size_t(gridDim.y) * blockDim.y, right = std::size_t(gridDim.x) * blockDim.x;
  for (std::size_t t = std::size_t(blockIdx.y) * blockDim.y + threadIdx.y; t < n; t += down)
    for (std::size_t j = std::size_t(blockIdx.x) * blockDim.x + threadIdx.x; j < d; j += right) f(t, j);
}

// -- rows: g lanes of a warp share a row; g is a power of two, no more than the row needs
inline unsigned lanes_for(std::size_t d) {
  unsigned g = 1;
  while (g < 32 && g < d) g *= 2;
  return g;
}
inline geometry row_groups(std::size_t n, unsigned g) {
  const std::size_t per_block = block_threads / g, blocks = (n + per_block - 1) / per_block;
  return {dim3(static_cast<unsigned>(std::min<std::size_t>(blocks, 1 << 16))), dim3(block_threads)};
}
/// f(t, live, lane): all lanes of a warp make the same calls; where `live` is false, t is 0 and nothing may be written.
template <class F>
__device__ void for_rows(std::size_t n, unsigned g, F f) {
  const std::size_t per_block = blockDim.x / g;
  for (std::size_t first = blockIdx.x * per_block; first < n; first += gridDim.x * per_block) {
    const std::size_t t = first + threadIdx.x / g;
    f(t < n ? t : std::size_t(0), t < n, threadIdx.x % g);
  }
}

/// Sum over g lanes, in a fixed tree; every lane gets it.
template <class T>
__device__ T lane_sum(T v, unsigned g) {
  for (unsigned o = g / 2; o > 0; o /= 2) v += __shfl_xor_sync(~0u, v, static_cast<int>(o));
  return v;
}
/// The larger, where NaN is larger than all: it is not hidden.
template <class T>
__device__ T larger(T a, T b) {
  return b > a || b != b ? b : a;
}
template <class T>
__device__ T lane_max(T v, unsigned g) {
  for (unsigned o = g / 2; o > 0; o /= 2) v = larger(v, __shfl_xor_sync(~0u, v, static_cast<int>(o)));
  return v;
}
/// Sum over a block of block_threads, in a fixed order, for thread 0; once in a kernel.
__device__ inline double block_sum(double v) {
  MODX_SHARED(double, part, block_threads / 32);
  v = lane_sum(v, 32);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  double total = 0;
  if (threadIdx.x == 0)
    for (unsigned w = 0; w < block_threads / 32; ++w) total += part[w];
  return total;
}

/// y = beta y + x, where beta 0 never reads y.
template <class T>
__device__ void blend(T beta, T x, T& y) {
  y = beta == T(0) ? x : beta * y + x;
}

/// Is id below limit?  Else the first such token is reported.
__device__ inline bool checked(report_slot* slot, std::size_t token, std::int32_t id, std::size_t limit) {
  if (id >= 0 && static_cast<std::size_t>(id) < limit) return true;
  atomicMin(slot, report_slot(token) << 32 | static_cast<std::uint32_t>(id));
  return false;
}

// -- lists of tensors in one launch: entry i starts with block list[i].first
template <class E>
__device__ const E& entry_of_block(const E* list, unsigned count) {
  unsigned low = 0, high = count;
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    (list[middle].first <= blockIdx.x ? low : high) = middle;
  }
  return list[low];
}
inline constexpr std::size_t piece = 4096;  // elements of a tensor that a block takes
inline unsigned pieces(std::size_t n) { return static_cast<unsigned>((n + piece - 1) / piece); }
/// f(q, i, j) for this block's elements q = i d + j of a tensor of `size` elements whose blocks start at `first_block`.
template <class F>
__device__ void for_cells_of_piece(unsigned first_block, std::size_t size, std::size_t d, F f) {
  const std::size_t first = (blockIdx.x - first_block) * piece, last = first + piece < size ? first + piece : size;
  std::size_t q = first + threadIdx.x, i = q / d, j = q % d;
  const std::size_t down = blockDim.x / d, right = blockDim.x % d;
  for (; q < last; q += blockDim.x) {
    f(q, i, j);
    i += down, j += right;
    if (j >= d) ++i, j -= d;
  }
}

}  // namespace modx::gpu
