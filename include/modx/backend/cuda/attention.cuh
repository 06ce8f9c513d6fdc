// CUDA backend: softmax attention inside sequences; a warp a query (forward, dq) or a key (dk, dv), no
// atomics.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/rows.cuh>

namespace modx::gpu {

inline constexpr unsigned most_dims = 16;  // of a head that a lane holds: heads are at most 512 wide
inline constexpr unsigned warps_per_block = block_threads / 32;

/// One row of one head of a sequence: of its queries, or of its keys.
struct attention_row {
  std::size_t s, group, head, row, q0, k0, lq, lk;
  bool live;

  /// Blocks: (rows / warps_per_block, sequences, groups x heads).
  __device__ attention_row(const attention_task& a, std::size_t heads, bool of_keys) {
    s = blockIdx.y, group = blockIdx.z / heads, head = blockIdx.z % heads;
    row = std::size_t(blockIdx.x) * warps_per_block + threadIdx.x / 32;
    q0 = static_cast<std::size_t>(a.q.offsets[s]), lq = static_cast<std::size_t>(a.q.offsets[s + 1]) - q0;
    k0 = static_cast<std::size_t>(a.kv.offsets[s]), lk = static_cast<std::size_t>(a.keys ? a.keys[s] : a.kv.offsets[s + 1] - a.kv.offsets[s]);
    live = row < (of_keys ? lk : lq);
  }
  /// Keys that query i sees.
  __device__ std::size_t sees(const attention_task& a, std::size_t i) const {
    if (!a.causal) return lk;
    const std::size_t end = i + 1 + lk;
    return end > lq ? (end - lq < lk ? end - lq : lk) : 0;
  }
};

/// Sum of x[j] y[j] over a head, by the warp; every lane gets it.
template <class T>
__device__ T head_dot(const T* x, const T* y, std::size_t d, unsigned lane) {
  T s = 0;
  for (std::size_t j = lane; j < d; j += 32) s += x[j] * y[j];
  return lane_sum(s, 32);
}

/// out and log_sum of one query head row: keys go by 32 at a time, a lane each, with a running softmax.
template <class T>
__global__ void attend(attention_task a, const T* q, const T* k, const T* v, T* out, T* log_sum) {
  const unsigned lane = threadIdx.x % 32;
  const attention_row p(a, a.heads, false);
  if (!p.live) return;
  const std::size_t d = a.head_dim, kh = p.head / (a.heads / a.kv_heads), keys = p.sees(a, p.row);
  const T* query = q + (p.q0 + p.row) * a.q_row + p.group * a.q_group + p.head * d;
  const std::size_t at = p.k0 * a.kv_row + p.group * a.kv_group + kh * d;
  const T scale = static_cast<T>(a.scale);
  T top = -INFINITY, total = 0, sum[most_dims] = {};
  for (std::size_t first = 0; first < keys; first += 32) {
    const std::size_t own = first + lane;
    T score = -INFINITY;
    if (own < keys) {
      score = 0;
      const T* key = k + at + own * a.kv_row;
      for (std::size_t j = 0; j < d; ++j) score += query[j] * key[j];
      score *= scale;
    }
    const T shift = larger(top, lane_max(score, 32));
    const T weight = own < keys ? fast_exp(score - shift) : T(0),
            shrink = first ? fast_exp(top - shift) : T(0);
    total = total * shrink + lane_sum(weight, 32);
    top = shift;
    const unsigned count = static_cast<unsigned>(keys - first < 32 ? keys - first : 32);
    for (unsigned l = 0; l < most_dims; ++l) sum[l] *= shrink;
    for (unsigned i = 0; i < count; ++i) {
      const T w = __shfl_sync(~0u, weight, static_cast<int>(i));
      const T* value = v + at + (first + i) * a.kv_row;
      for (unsigned l = 0; l < most_dims && l * 32 + lane < d; ++l) sum[l] += w * value[l * 32 + lane];
    }
  }
  T* y = out + (p.q0 + p.row) * a.out_row + p.group * a.out_group + p.head * d;
  for (unsigned l = 0; l < most_dims && l * 32 + lane < d; ++l)
    y[l * 32 + lane] = keys ? sum[l] / total : T(0);
  if (log_sum && lane == 0)
    log_sum[((p.q0 + p.row) * a.groups + p.group) * a.heads + p.head] =
        keys ? top + std::log(total) : T(-INFINITY);
}
/// dq of one query head row: sum over keys of w (dp - <dout, out>) scale k.
template <class T>
__global__ void attend_gradient_q(attention_task a, const T* q, const T* k, const T* v, const T* out,
                                  const T* log_sum, const T* dout, T* dq) {
  const unsigned lane = threadIdx.x % 32;
  const attention_row p(a, a.heads, false);
  if (!p.live) return;
  const std::size_t d = a.head_dim, kh = p.head / (a.heads / a.kv_heads), keys = p.sees(a, p.row);
  const std::size_t q_at = (p.q0 + p.row) * a.q_row + p.group * a.q_group + p.head * d;
  const std::size_t o_at = (p.q0 + p.row) * a.out_row + p.group * a.out_group + p.head * d;
  const std::size_t at = p.k0 * a.kv_row + p.group * a.kv_group + kh * d;
  const T mean = head_dot(dout + o_at, out + o_at, d, lane), scale = static_cast<T>(a.scale);
  const T shift = log_sum[((p.q0 + p.row) * a.groups + p.group) * a.heads + p.head];
  T sum[most_dims] = {};
  for (std::size_t first = 0; first < keys; first += 32) {
    const std::size_t own = first + lane;
    T slope = 0;
    if (own < keys) {
      const T *key = k + at + own * a.kv_row, *value = v + at + own * a.kv_row;
      T score = 0, along = 0;
      for (std::size_t j = 0; j < d; ++j) score += q[q_at + j] * key[j], along += dout[o_at + j] * value[j];
      slope = fast_exp(score * scale - shift) * (along - mean) * scale;
    }
    const unsigned count = static_cast<unsigned>(keys - first < 32 ? keys - first : 32);
    for (unsigned i = 0; i < count; ++i) {
      const T s = __shfl_sync(~0u, slope, static_cast<int>(i));
      const T* key = k + at + (first + i) * a.kv_row;
      for (unsigned l = 0; l < most_dims && l * 32 + lane < d; ++l) sum[l] += s * key[l * 32 + lane];
    }
  }
  for (unsigned l = 0; l < most_dims && l * 32 + lane < d; ++l) dq[q_at + l * 32 + lane] = sum[l];
}
/// dk and dv of one key head row: sums over its query heads and the queries that see it, in order.
template <class T>
__global__ void attend_gradient_kv(attention_task a, const T* q, const T* k, const T* v, const T* out,
                                   const T* log_sum, const T* dout, T* dk, T* dv) {
  const unsigned lane = threadIdx.x % 32;
  const attention_row p(a, a.kv_heads, true);
  if (!p.live) return;
  const std::size_t d = a.head_dim, share = a.heads / a.kv_heads;
  const std::size_t at = (p.k0 + p.row) * a.kv_row + p.group * a.kv_group + p.head * d;
  const std::size_t from =
      a.causal && p.row + p.lq > p.lk ? p.row + p.lq - p.lk : 0;  // the first query that sees it
  const T scale = static_cast<T>(a.scale);
  T key_sum[most_dims] = {}, value_sum[most_dims] = {};
  for (std::size_t h = p.head * share; h < (p.head + 1) * share; ++h)
    for (std::size_t first = from; first < p.lq; first += 32) {
      const std::size_t own = first + lane;
      T weight = 0, slope = 0;
      if (own < p.lq) {
        const T* query = q + (p.q0 + own) * a.q_row + p.group * a.q_group + h * d;
        const std::size_t o_at = (p.q0 + own) * a.out_row + p.group * a.out_group + h * d;
        T score = 0, along = 0, mean = 0;
        for (std::size_t j = 0; j < d; ++j) {
          score += query[j] * k[at + j];
          along += dout[o_at + j] * v[at + j];
          mean += dout[o_at + j] * out[o_at + j];
        }
        weight = fast_exp(score * scale - log_sum[((p.q0 + own) * a.groups + p.group) * a.heads + h]);
        slope = weight * (along - mean) * scale;
      }
      const unsigned count = static_cast<unsigned>(p.lq - first < 32 ? p.lq - first : 32);
      for (unsigned i = 0; i < count; ++i) {
        const T w = __shfl_sync(~0u, weight, static_cast<int>(i)),
                s = __shfl_sync(~0u, slope, static_cast<int>(i));
        const T* query = q + (p.q0 + first + i) * a.q_row + p.group * a.q_group + h * d;
        const T* slopes = dout + (p.q0 + first + i) * a.out_row + p.group * a.out_group + h * d;
        for (unsigned l = 0; l < most_dims && l * 32 + lane < d; ++l) {
          key_sum[l] += s * query[l * 32 + lane];
          value_sum[l] += w * slopes[l * 32 + lane];
        }
      }
    }
  for (unsigned l = 0; l < most_dims && l * 32 + lane < d; ++l)
    dk[at + l * 32 + lane] = key_sum[l], dv[at + l * 32 + lane] = value_sum[l];
}

inline geometry attention_blocks(const attention_task& a, std::size_t longest, std::size_t heads) {
  if (a.q.count > 65535 || a.groups * heads > 65535)
    throw error("attention on cuda", "at most 65535 sequences, and groups x heads",
                std::to_string(a.q.count) + ", " + std::to_string(a.groups * heads));
  if (a.head_dim > most_dims * 32)
    throw error("attention on cuda", "heads at most 512 wide", std::to_string(a.head_dim));
  return {dim3(static_cast<unsigned>((longest + warps_per_block - 1) / warps_per_block),
               static_cast<unsigned>(a.q.count), static_cast<unsigned>(a.groups * heads)),
          dim3(block_threads)};
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::attention(const attention_task& task, const T* q, const T* k, const T* v, T* out,
                              T* log_sum) {
  if (task.q.count == 0 || task.q.longest == 0) return;
  state_->device.launch(gpu::attend<T>, gpu::attention_blocks(task, task.q.longest, task.heads), task, q, k,
                        v, out, log_sum);
}
template <class T>
void basic_cuda<T>::attention_gradient(const attention_task& task, const T* q, const T* k, const T* v,
                                       const T* out, const T* log_sum, const T* dout, T* dq, T* dk, T* dv) {
  if (task.q.count && task.q.longest)
    state_->device.launch(gpu::attend_gradient_q<T>, gpu::attention_blocks(task, task.q.longest, task.heads),
                          task, q, k, v, out, log_sum, dout, dq);
  if (task.q.count && task.kv.longest)
    state_->device.launch(gpu::attend_gradient_kv<T>,
                          gpu::attention_blocks(task, task.kv.longest, task.kv_heads), task, q, k, v, out,
                          log_sum, dout, dk, dv);
}

}  // namespace modx
