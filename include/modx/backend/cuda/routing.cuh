// CUDA backend: top-k routing: choose experts, sort slots by expert, send tokens there and back.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/rows.cuh>

namespace modx::gpu {

/// Does number or NaN a at place i come before b at j?  Larger first, NaN behind every number, ties to the lowest
/// place.
template <class T>
__device__ bool comes_before(T a, unsigned i, T b, unsigned j) {
  const bool nan_a = a != a, nan_b = b != b;
  if (nan_a != nan_b) return nan_b;
  return a > b || (!(b > a) && i < j);
}
/// id (n x k): the first k of each row of x (n x e) in that order.  g lanes a row, k rounds.
template <class T>
__global__ void choose_largest(std::size_t n, unsigned e, unsigned k, unsigned g, const T* x, std::int32_t* id) {
  for_rows(n, g, [=](std::size_t t, bool live, unsigned lane) {
    const T* row = x + t * e;
    unsigned last = e;  // chosen in the round before, e for none
    T last_value = 0;
    for (unsigned s = 0; s < k; ++s) {
      unsigned best = e;
      T value = 0;
      for (unsigned j = lane; j < e; j += g) {
        const T v = row[j];
        if (last < e && !comes_before(last_value, last, v, j)) continue;
        if (best == e || comes_before(v, j, value, best)) best = j, value = v;
      }
      for (unsigned o = g / 2; o > 0; o /= 2) {
        const unsigned other = __shfl_xor_sync(~0u, best, static_cast<int>(o));
        const T other_value = __shfl_xor_sync(~0u, value, static_cast<int>(o));
        if (other < e && (best == e || comes_before(other_value, other, value, best)))
          best = other, value = other_value;
      }
      last = best, last_value = value;
      if (live && lane == 0) id[t * k + s] = static_cast<std::int32_t>(best);
    }
  });
}

inline constexpr unsigned slots_per_block = 256;

/// counts[i][block] = slots of the block that chose expert i; counts: e x blocks.  Thread = slot.
template <class I>
__global__ void count_slots(std::size_t slots, std::size_t k, unsigned e, const I* id, I* counts, report_slot* slot) {
  for (unsigned i = threadIdx.x; i < e; i += blockDim.x) counts[std::size_t(i) * gridDim.x + blockIdx.x] = 0;
  __syncthreads();
  const std::size_t s = std::size_t(blockIdx.x) * slots_per_block + threadIdx.x;
  if (s < slots && checked(slot, s / k, id[s], e))
    atomicAdd(&counts[static_cast<std::size_t>(id[s]) * gridDim.x + blockIdx.x], I(1));
}
/// Each row of counts (e x blocks) becomes its exclusive prefix sums; total[i] = its sum.  A warp an expert.
template <class I>
__global__ void scan_counts(unsigned e, unsigned blocks, I* counts, I* total) {
  const unsigned lane = threadIdx.x % 32, expert = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  I* row = counts + std::size_t(expert < e ? expert : 0) * blocks;
  I before = 0;
  for (unsigned b = 0; b < blocks; b += 32) {
    const I own = expert < e && b + lane < blocks ? row[b + lane] : 0;
    I sum = own;
    for (unsigned o = 1; o < 32; o *= 2) {
      const I left = __shfl_up_sync(~0u, sum, o);
      if (lane >= o) sum += left;
    }
    const I all = __shfl_sync(~0u, sum, 31);
    if (expert < e && b + lane < blocks) row[b + lane] = before + sum - own;
    before += all;
  }
  if (expert < e && lane == 0) total[expert] = before;
}
/// offsets (e + 1) = 0, total[0], total[0] + total[1], ...  One warp.
template <class I>
__global__ void scan_totals(unsigned e, const I* total, I* offsets) {
  const unsigned lane = threadIdx.x;
  I before = 0;
  for (unsigned i = 0; i < e; i += 32) {
    I sum = i + lane < e ? total[i + lane] : 0;
    for (unsigned o = 1; o < 32; o *= 2) {
      const I left = __shfl_up_sync(~0u, sum, o);
      if (lane >= o) sum += left;
    }
    if (i + lane < e) offsets[i + lane + 1] = before + sum;
    before += __shfl_sync(~0u, sum, 31);
  }
  if (lane == 0) offsets[0] = 0;
}
/// position[s] = offsets[expert] + slots of that expert in earlier blocks + earlier ones in this block;
/// source[position] = token.  Thread = slot.
template <class I>
__global__ void place_slots(std::size_t slots, std::size_t k, unsigned e, const I* id, const I* offsets,
                            const I* counts, I* position, I* source) {
  MODX_SHARED(I, chosen, slots_per_block);
  const std::size_t s = std::size_t(blockIdx.x) * slots_per_block + threadIdx.x;
  const I own = s < slots ? id[s] : -1;
  chosen[threadIdx.x] = own;
  __syncthreads();
  if (own < 0 || static_cast<unsigned>(own) >= e) return;
  I row = offsets[own] + counts[static_cast<std::size_t>(own) * gridDim.x + blockIdx.x];
  for (unsigned i = 0; i < threadIdx.x; ++i) row += chosen[i] == own;
  position[s] = row;
  source[row] = static_cast<I>(s / k);
}

/// y[i] = x[id[i]]; a thread a cell.
template <class T>
__global__ void gather_each_row(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id,
                                T* y, report_slot* slot) {
  for_cells(n, d, [=](std::size_t t, std::size_t j) {
    const std::int32_t i = id[t];
    y[t * d + j] = checked(slot, t, i, rows) ? x[static_cast<std::size_t>(i) * d + j] : T(NAN);
  });
}
/// y (n x k) = x[t, id[t, s]]; a thread a cell.
template <class T>
__global__ void gather_each_column(std::size_t n, std::size_t e, std::size_t k, const T* x, const std::int32_t* id,
                                   T* y, report_slot* slot) {
  for_cells(n, k, [=](std::size_t t, std::size_t s) {
    const std::int32_t i = id[t * k + s];
    y[t * k + s] = checked(slot, t, i, e) ? x[t * e + static_cast<std::size_t>(i)] : T(NAN);
  });
}
/// dx (n x e) = beta dx + dy at the chosen; a thread a cell of dx.
template <class T>
__global__ void scatter_each_column(std::size_t n, std::size_t e, std::size_t k, const T* dy, const std::int32_t* id,
                                    T beta, T* dx) {
  for_cells(n, e, [=](std::size_t t, std::size_t i) {
    T s = 0;
    for (std::size_t r = t * k; r < (t + 1) * k; ++r)
      if (static_cast<std::size_t>(id[r]) == i) s += dy[r];
    blend(beta, s, dx[t * e + i]);
  });
}
/// out (n x m) = beta out + sum over slots of w[t, s] y[position[t, s]], in slot order; a thread a cell.
template <class T>
__global__ void combine_slots(std::size_t n, std::size_t k, std::size_t m, const std::int32_t* position, const T* w,
                              const T* y, T beta, T* out) {
  for_cells(n, m, [=](std::size_t t, std::size_t j) {
    T sum = 0;
    for (std::size_t s = t * k; s < (t + 1) * k; ++s) {
      const T v = y[static_cast<std::size_t>(position[s]) * m + j];
      sum += w ? w[s] * v : v;
    }
    blend(beta, sum, out[t * m + j]);
  });
}
/// dy[position[t, s]] = w[t, s] dout[t]; a thread a cell of dout.
template <class T>
__global__ void spread_slots(std::size_t n, std::size_t k, std::size_t m, const std::int32_t* position, const T* w,
                             const T* dout, T* dy) {
  for_cells(n, m, [=](std::size_t t, std::size_t j) {
    const T g = dout[t * m + j];
    for (std::size_t s = t * k; s < (t + 1) * k; ++s) dy[static_cast<std::size_t>(position[s]) * m + j] = w[s] * g;
  });
}
/// dw[t, s] = beta dw[t, s] + <dout[t], y[position[t, s]]>; g lanes a dot product.
template <class T>
__global__ void weigh_slots(std::size_t n, std::size_t k, std::size_t m, unsigned g, const std::int32_t* position,
                            const T* y, const T* dout, T beta, T* dw) {
  for_rows(n * k, g, [=](std::size_t s, bool live, unsigned lane) {
    const T *a = dout + s / k * m, *b = y + static_cast<std::size_t>(position[s]) * m;
    const T sum = row_sum<T>(m, g, lane, [=](std::size_t j) { return a[j] * b[j]; });
    if (live && lane == 0) blend(beta, sum, dw[s]);
  });
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::top_k(std::size_t n, std::size_t e, std::size_t k, const T* x, std::int32_t* id) {
  if (n == 0 || k == 0) return;
  const unsigned g = gpu::lanes_for(e);
  state_->device.launch(gpu::choose_largest<T>, gpu::row_groups(n, g), n, e, k, g, x, id);
}
template <class T>
void basic_cuda<T>::permute(std::size_t n, std::size_t e, std::size_t k, const std::int32_t* id, std::int32_t* offsets,
                            std::int32_t* position, std::int32_t* source) {
  const std::size_t slots = n * k;
  if (slots > 0x7fffffff) throw error("sort_by_expert", "fewer than 2^31 slots", std::to_string(slots));
  std::fill(offsets, offsets + e + 1, 0);
  if (slots == 0 || e == 0) return;
  auto& device = state_->device;
  const auto blocks = static_cast<unsigned>((slots + gpu::slots_per_block - 1) / gpu::slots_per_block);
  auto* counts = device.template scratch<std::int32_t>(e * blocks + 2 * e + 1);
  std::int32_t *total = counts + e * blocks, *starts = total + e;
  const gpu::geometry by_slot{dim3(blocks), dim3(gpu::slots_per_block)};
  auto* slot = device.reporter("sort_by_expert", e);
  device.launch(gpu::count_slots<int>, by_slot, slots, k, e, id, counts, slot);
  device.launch(gpu::scan_counts<int>, gpu::row_groups(e, 32), e, blocks, counts, total);
  device.launch(gpu::scan_totals<int>, gpu::geometry{dim3(1), dim3(32)}, e, total, starts);
  device.launch(gpu::place_slots<int>, by_slot, slots, k, e, id, starts, counts, position, source);
  device.download(offsets, starts, (e + 1) * sizeof(std::int32_t));  // offsets are host memory
}
template <class T>
void basic_cuda<T>::gather_rows(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id,
                                T* y) {
  if (n == 0 || d == 0) return;
  auto* slot = state_->device.reporter("take_rows", rows);
  state_->device.launch(gpu::gather_each_row<T>, gpu::cells(n, d), n, rows, d, x, id, y, slot);
}
template <class T>
void basic_cuda<T>::gather_columns(std::size_t n, std::size_t e, std::size_t k, const T* x, const std::int32_t* id,
                                   T* y) {
  if (n == 0 || k == 0) return;
  auto* slot = state_->device.reporter("gather_columns", e);
  state_->device.launch(gpu::gather_each_column<T>, gpu::cells(n, k), n, e, k, x, id, y, slot);
}
template <class T>
void basic_cuda<T>::gather_columns_gradient(std::size_t n, std::size_t e, std::size_t k, const T* dy,
                                            const std::int32_t* id, T beta, T* dx) {
  if (n && e) state_->device.launch(gpu::scatter_each_column<T>, gpu::cells(n, e), n, e, k, dy, id, beta, dx);
}
template <class T>
void basic_cuda<T>::combine(const permutation& p, std::size_t m, const T* w, const T* y, T beta, T* out) {
  if (p.n && m)
    state_->device.launch(gpu::combine_slots<T>, gpu::cells(p.n, m), p.n, p.k, m, p.position, w, y, beta, out);
}
template <class T>
void basic_cuda<T>::combine_gradient(const permutation& p, std::size_t m, const T* w, const T* y, const T* dout,
                                     T beta_w, T* dw, T* dy) {
  if (p.n * p.k == 0) return;
  const unsigned g = gpu::lanes_for(m);
  if (dw)
    state_->device.launch(gpu::weigh_slots<T>, gpu::row_groups(p.n * p.k, g), p.n, p.k, m, g, p.position, y, dout,
                          beta_w, dw);
  if (dy && m) state_->device.launch(gpu::spread_slots<T>, gpu::cells(p.n, m), p.n, p.k, m, p.position, w, dout, dy);
}

}  // namespace modx
