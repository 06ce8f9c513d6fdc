// CPU attention in blocks of keys with a running softmax (Dao et al. 2022), by the register tiles of the
// products. A row's bits depend on its own query and the keys it sees only: not on other rows, threads, or
// how many rows are asked for.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <modx/backend/cpu/loops.hpp>
#include <modx/backend/cpu/pack.hpp>
#include <modx/backend/cpu/tile.hpp>
#include <modx/backend/math.hpp>
#include <vector>

namespace modx::kernels {

inline constexpr std::size_t key_block = 256, query_block = 128;

/// One head's rows in memory.
template <class T>
struct head_rows {
  T* data;
  std::size_t row;
  T* at(std::size_t i) const { return data + i * row; }
};

/// x (n x d) as a right operand: its own columns, or its rows as columns, in panels of tile_cols.
template <class T>
void pack_rows(head_rows<const T> x, std::size_t n, std::size_t d, T* out) {  // n x d -> panels over d
  constexpr std::size_t width = tile_cols<T>;
  for (std::size_t j = 0; j < d; j += width)
    detail::pack_panel(n, std::min(width, d - j), width, view<T>{x.data + j, std::ptrdiff_t(x.row), 1},
                       out + j * n);
}
template <class T>
void pack_transposed(head_rows<const T> x, std::size_t n, std::size_t d, T* out) {  // d x n -> panels over n
  constexpr std::size_t width = tile_cols<T>;
  for (std::size_t j = 0; j < n; j += width)
    detail::pack_panel(d, std::min(width, n - j), width, view<T>{x.at(j), 1, std::ptrdiff_t(x.row)},
                       out + j * d);
}
/// Panels of tile_cols that n columns fill.
template <class T>
std::size_t padded(std::size_t n) {
  return (n + tile_cols<T> - 1) / tile_cols<T> * tile_cols<T>;
}

/// Which keys of a block row i of a block of queries sees.
struct visible {
  bool causal;
  std::ptrdiff_t first;  // what row 0 sees, counted from the start of the block of keys: row i sees first + i
  std::size_t keys;

  std::size_t operator()(std::size_t i) const {
    if (!causal) return keys;
    return std::size_t(std::clamp(first + std::ptrdiff_t(i), std::ptrdiff_t(0), std::ptrdiff_t(keys)));
  }
};

/// s (rows x keys, rows key_block apart) = x (rows x d) times a packed d x keys; columns that no row of a
/// tile sees are left.
template <class T>
void block_scores(head_rows<const T> x, std::size_t rows, std::size_t d, const T* packed, visible seen,
                  T* s) {
  constexpr std::size_t width = tile_cols<T>;
  for (std::size_t j = 0; j < seen.keys; j += width)
    detail::each_tile(rows, [&](std::size_t first, std::size_t count) {
      if (j >= seen(first + count - 1)) return;
      detail::tile_for<T, detail::layout::along>(count)(
          {x.at(first), std::ptrdiff_t(x.row), packed + j * d, std::ptrdiff_t(width), d},
          {T(0), s + first * key_block + j, key_block, width});
    });
}
/// y (rows x d) = beta y + s (rows x keys) times b (keys x d, packed): zeros in s beyond what a row sees.
template <class T>
void block_values(const T* s, std::size_t rows, std::size_t d, const T* packed, std::size_t packed_rows,
                  visible seen, T beta, head_rows<T> y) {
  constexpr std::size_t width = tile_cols<T>;
  detail::each_tile(rows, [&](std::size_t first, std::size_t count) {
    const std::size_t keys = seen(first + count - 1);
    if (keys == 0 && beta != T(0)) return;
    for (std::size_t j = 0; j < d; j += width)
      detail::tile_for<T, detail::layout::along>(count)(
          {s + first * key_block, std::ptrdiff_t(key_block), packed + j * packed_rows, std::ptrdiff_t(width),
           keys},
          {beta, y.at(first) + j, y.row, std::min(width, d - j)});
  });
}
/// y (keys x d) = beta y + s^T times b (rows x d, packed).
template <class T>
void block_transposed(const T* s, std::size_t rows, std::size_t d, const T* packed, visible seen, T beta,
                      head_rows<T> y) {
  constexpr std::size_t width = tile_cols<T>;
  detail::each_tile(seen.keys, [&](std::size_t first, std::size_t count) {
    std::size_t from = 0;  // the first row that sees one of these keys
    if (seen.causal)
      from = std::min(rows, std::size_t(std::max(std::ptrdiff_t(0), std::ptrdiff_t(first) + 1 - seen.first)));
    for (std::size_t j = 0; j < d; j += width)
      detail::tile_for<T, detail::layout::across>(count)(
          {s + from * key_block + first, std::ptrdiff_t(key_block), packed + j * rows + from * width,
           std::ptrdiff_t(width), rows - from},
          {beta, y.at(first) + j, y.row, std::min(width, d - j)});
  });
}

/// One sequence, group and key head of an attention.
template <class T>
struct attention_part {
  const attention_task* task;
  std::size_t lq, lk, q0, k0, q_at, kv_at, out_at,
      head;  // head: index of the first query head among groups x heads

  attention_part(const attention_task& a, std::size_t part) : task(&a) {
    const std::size_t s = part / (a.groups * a.kv_heads), g = part / a.kv_heads % a.groups,
                      kh = part % a.kv_heads;
    q0 = std::size_t(a.q.offsets[s]), lq = std::size_t(a.q.offsets[s + 1]) - q0;
    k0 = std::size_t(a.kv.offsets[s]), lk = a.keys ? std::size_t(a.keys[s]) : std::size_t(a.kv.offsets[s + 1]) - k0;
    const std::size_t h = kh * share();
    q_at = q0 * a.q_row + g * a.q_group + h * a.head_dim;
    kv_at = k0 * a.kv_row + g * a.kv_group + kh * a.head_dim;
    out_at = q0 * a.out_row + g * a.out_group + h * a.head_dim;
    head = g * a.heads + h;
  }
  static std::size_t parts(const attention_task& a) { return a.q.count * a.groups * a.kv_heads; }
  /// Query heads that read this key head.
  std::size_t share() const { return task->heads / task->kv_heads; }
  /// What rows from r on see of the keys from k on.
  visible sees(std::size_t r, std::size_t k, std::size_t keys) const {
    return {task->causal, std::ptrdiff_t(r + 1 + lk) - std::ptrdiff_t(lq) - std::ptrdiff_t(k), keys};
  }
  /// Keys that rows [r, r + rows) see.
  std::size_t limit(std::size_t r, std::size_t rows) const { return rows ? sees(r, 0, lk)(rows - 1) : 0; }
  std::size_t log_sum_at(std::size_t row, std::size_t h) const {
    return (q0 + row) * task->groups * task->heads + head + h;
  }
};

template <class T>
T* attention_scratch(std::size_t n) {
  static thread_local std::vector<T> memory;
  if (memory.size() < n) memory.resize(n);
  return memory.data();
}

/// Rows [r, r + query_block) of the query heads of a part.
template <class T>
void attention_forward(const attention_part<T>& p, std::size_t r, const T* q, const T* k, const T* v, T* out,
                       T* log_sum) {
  const auto& a = *p.task;
  const std::size_t d = a.head_dim, rows = std::min(query_block, p.lq - r), limit = p.limit(r, rows);
  T* keys = attention_scratch<T>(key_block * (d + padded<T>(d) + query_block) + 2 * p.share() * query_block);
  T* values = keys + key_block * d;
  T* s = values + key_block * padded<T>(d);
  T *top = s + query_block * key_block, *total = top + p.share() * query_block;
  const T scale = T(a.scale);
  if (limit == 0)
    for (std::size_t h = 0; h < p.share(); ++h)
      for (std::size_t i = 0; i < rows; ++i)
        std::fill_n(out + p.out_at + (r + i) * a.out_row + h * d, d, T(0));
  for (std::size_t at = 0; at < limit; at += key_block) {
    const std::size_t n = std::min(key_block, limit - at);
    pack_transposed<T>({k + p.kv_at + at * a.kv_row, a.kv_row}, n, d, keys);
    pack_rows<T>({v + p.kv_at + at * a.kv_row, a.kv_row}, n, d, values);
    const visible seen = p.sees(r, at, n);
    for (std::size_t h = 0; h < p.share(); ++h) {
      const head_rows<T> y{out + p.out_at + r * a.out_row + h * d, a.out_row};
      block_scores<T>({q + p.q_at + r * a.q_row + h * d, a.q_row}, rows, d, keys, seen, s);
      for (std::size_t i = 0; i < rows; ++i) {
        const std::size_t c = seen(i);
        T *row = s + i * key_block, &m = top[h * query_block + i], &sum = total[h * query_block + i];
        if (at == 0) m = -std::numeric_limits<T>::infinity(), sum = 0;
        if (c) {
          T high = row[0];
          for (std::size_t j = 1; j < c; ++j) high = row[j] > high || row[j] != row[j] ? row[j] : high;
          high = scale * high;
          const T shift = high > m || high != high ? high : m;
          for (std::size_t j = 0; j < c; ++j) row[j] = fast_exp(row[j] * scale - shift);
          const T shrink = at ? fast_exp(m - shift) : T(0);
          sum = sum * shrink + lane_sum<T>(c, [=](std::size_t j) { return row[j]; });
          m = shift;
          if (at && shrink != T(1))
            for (std::size_t j = 0; j < d; ++j) y.at(i)[j] *= shrink;
        }
        std::fill(row + c, row + n, T(0));
      }
      block_values<T>(s, rows, d, values, n, seen, T(at ? 1 : 0), y);
    }
  }
  for (std::size_t h = 0; h < p.share(); ++h)
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t row = h * query_block + i;
      const bool sees_any = limit && p.sees(r, 0, p.lk)(i);
      if (log_sum)
        log_sum[p.log_sum_at(r + i, h)] =
            sees_any ? top[row] + std::log(total[row]) : -std::numeric_limits<T>::infinity();
      if (!sees_any) continue;
      T* y = out + p.out_at + (r + i) * a.out_row + h * d;
      const T inverse = T(1) / total[row];
      for (std::size_t j = 0; j < d; ++j) y[j] *= inverse;
    }
}

/// The gradients of a part: dq of its query heads, dk and dv of its key head.
template <class T>
void attention_backward(const attention_part<T>& p, const T* q, const T* k, const T* v, const T* out,
                        const T* log_sum, const T* dout, T* dq, T* dk, T* dv) {
  const auto& a = *p.task;
  const std::size_t d = a.head_dim, wide = padded<T>(d);
  T* keys = attention_scratch<T>(key_block * (2 * d + wide) + query_block * (2 * key_block + 2 * wide));
  T* values = keys + key_block * d;
  T* plain_keys = values + key_block * d;
  T* weights = plain_keys + key_block * wide;
  T* slopes = weights + query_block * key_block;
  T* packed_q = slopes + query_block * key_block;
  T* packed_dout = packed_q + query_block * wide;
  const T scale = T(a.scale);
  if (p.lk == 0)
    for (std::size_t i = 0; i < p.lq; ++i) std::fill_n(dq + p.q_at + i * a.q_row, p.share() * d, T(0));
  for (std::size_t at = 0; at < p.lk; at += key_block) {
    const std::size_t n = std::min(key_block, p.lk - at);
    const std::size_t kv = p.kv_at + at * a.kv_row;
    pack_transposed<T>({k + kv, a.kv_row}, n, d, keys);
    pack_transposed<T>({v + kv, a.kv_row}, n, d, values);
    pack_rows<T>({k + kv, a.kv_row}, n, d, plain_keys);
    T beta = 0;
    for (std::size_t r = 0; r < p.lq; r += query_block) {
      const std::size_t rows = std::min(query_block, p.lq - r);
      const visible seen = p.sees(r, at, n);
      if (seen(rows - 1) == 0 && at) continue;
      for (std::size_t h = 0; h < p.share(); ++h) {
        const head_rows<const T> own{q + p.q_at + r * a.q_row + h * d, a.q_row};
        const head_rows<const T> y{out + p.out_at + r * a.out_row + h * d, a.out_row};
        const head_rows<const T> g{dout + p.out_at + r * a.out_row + h * d, a.out_row};
        block_scores<T>(own, rows, d, keys, seen, weights);
        block_scores<T>(g, rows, d, values, seen, slopes);
        for (std::size_t i = 0; i < rows; ++i) {
          const std::size_t c = seen(i);
          T *w = weights + i * key_block, *s = slopes + i * key_block;
          const T shift = log_sum[p.log_sum_at(r + i, h)], mean = dot(g.at(i), y.at(i), d);
          for (std::size_t j = 0; j < c; ++j) w[j] = fast_exp(w[j] * scale - shift);
          for (std::size_t j = 0; j < c; ++j) s[j] = w[j] * (s[j] - mean) * scale;
          std::fill(w + c, w + n, T(0));
          std::fill(s + c, s + n, T(0));
        }
        pack_rows<T>(own, rows, d, packed_q);
        pack_rows<T>(g, rows, d, packed_dout);
        block_transposed<T>(weights, rows, d, packed_dout, seen, beta, {dv + kv, a.kv_row});
        block_transposed<T>(slopes, rows, d, packed_q, seen, beta, {dk + kv, a.kv_row});
        block_values<T>(slopes, rows, d, plain_keys, n, seen, T(at ? 1 : 0),
                        {dq + p.q_at + r * a.q_row + h * d, a.q_row});
        beta = 1;
      }
    }
    if (beta == T(0))
      for (std::size_t i = 0; i < n; ++i) {
        std::fill_n(dk + kv + i * a.kv_row, d, T(0));
        std::fill_n(dv + kv + i * a.kv_row, d, T(0));
      }
  }
}

}  // namespace modx::kernels
