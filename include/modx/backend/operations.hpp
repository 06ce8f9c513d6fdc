// What the operations of a backend take: plain structs of device pointers, shared by every backend.
// Letters: n tokens, d width, e experts, k awake, m output width.  All matrices are row-major.
#pragma once
#include <cstddef>
#include <cstdint>
#include <modx/backend/activation.hpp>
#include <type_traits>

namespace modx {

/// Strided view of a matrix: element (i, j) = data[i * row_stride + j * col_stride], one stride is 1.
template <class T>
struct matrix_view {
  const T* data = nullptr;
  std::ptrdiff_t row_stride = 0, col_stride = 1;

  static matrix_view plain(const T* p, std::size_t cols) { return {p, std::ptrdiff_t(cols), 1}; }
  static matrix_view transposed(const T* p, std::size_t cols) { return {p, 1, std::ptrdiff_t(cols)}; }
};

/// c (m x n) = activation(beta c + a (m x k) b (k x n) + bias); `pre` keeps the value before the activation.
template <class T>
struct gemm_task {
  std::size_t m = 0, n = 0, k = 0;
  matrix_view<T> a, b;
  const T* packed_b = nullptr;  // from backend.pack(b); required where packed_size() > 0
  T beta = 0;
  T* c = nullptr;
  std::size_t ldc = 0;  // elements between rows of c (and of pre)
  const T* bias = nullptr;
  activation act = activation::none;
  T* pre = nullptr;
  const T* gate = nullptr;  // laid out as c, which becomes 0 where gate is not positive: a ReLU's backward pass
  const std::uint16_t* packed_bf16 = nullptr;  // instead of b: frozen weights in bfloat16, from backend.pack_bf16()
  bool exact = false;  // in full precision, whatever the backend was told for products
};

/// One matrix to pack: `out` has backend.packed_size(k, n) elements.
template <class T>
struct pack_task {
  std::size_t k = 0, n = 0;
  matrix_view<T> b;
  T* out = nullptr;
  bool exact = false;  // for products that are
};

/// n images of extents h x w x cin; weights [kernel * kernel * cin][cout]; pool = window and stride of the
/// max-pooling behind the convolution, 1 for none.
struct conv_task {
  std::size_t n = 0, h = 0, w = 0, cin = 0, cout = 0, kernel = 3, pad = 0, pool = 1;
  bool relu = false;

  std::size_t conv_h() const { return h + 2 * pad + 1 - kernel; }
  std::size_t conv_w() const { return w + 2 * pad + 1 - kernel; }
  std::size_t out_h() const { return conv_h() / pool; }
  std::size_t out_w() const { return conv_w() / pool; }
};

/// Tokens sorted by expert, stably: slot s of token t stands in row position[t * k + s].
struct permutation {
  std::size_t n = 0, k = 0, e = 0;
  const std::int32_t* offsets = nullptr;   // e + 1, in host memory: rows [offsets[i], offsets[i + 1]) belong to i
  const std::int32_t* position = nullptr;  // n x k
  const std::int32_t* source = nullptr;    // n * k: row -> token
};

/// One tensor of an optimiser step: w is updated in place, m and v are its moments.
template <class T>
struct update_task {
  std::size_t size = 0;
  T* w = nullptr;
  const T* g = nullptr;
  T *m = nullptr, *v = nullptr;
  std::uint64_t step = 1;  // counts this tensor's updates, from 1
  double rate = 1;         // times the step's learning rate
};

/// SGD: m = momentum m + g + decay w; w -= lr m.
struct sgd_step {
  double lr, momentum, weight_decay, gradient_scale;
};

/// AdamW (Loshchilov & Hutter 2019): w -= lr decay w; then w -= lr m^ / (sqrt(v^) + eps), bias-corrected at the tensor's step.
struct adamw_step {
  double lr, beta1, beta2, eps, weight_decay, gradient_scale;
};

/// Sequences of tokens, one behind the other: rows [offsets[s], offsets[s + 1]) are sequence s.  Arrays on the device.
struct sequences {
  std::size_t count = 0, tokens = 0, longest = 0;
  const std::int32_t* offsets = nullptr;   // count + 1
  const std::int32_t* position = nullptr;  // tokens: place of each in its sequence, for rotary positions
  const std::int32_t* last = nullptr;      // count: the last row of each, -1 for none
};

/// Rows of width d in groups: group i of row t starts at x + t x_row + i x_group (y likewise), its gain at i gain_group.
struct norm_task {
  std::size_t n = 0, groups = 1, d = 0;
  std::size_t x_row = 0, x_group = 0, y_row = 0, y_group = 0;
  std::size_t gain_group = 0;  // 0: all groups share one
  bool centred = false;        // layer normalisation; else root mean square
  double eps = 1e-6;
};

/// Heads of n tokens in groups: head h of token t, group i is x + t row + i group + h head_dim.
struct rotary_task {
  std::size_t n = 0, groups = 1, heads = 1, head_dim = 0, row = 0, group = 0;
  double base = 10000;
  bool inverse = false;
  const std::int32_t* position = nullptr;  // n
};

/// Softmax attention inside sequences.  Query head h of token t, group i: q + t q_row + i q_group + h head_dim; it reads
/// key head h / (heads / kv_heads), laid out by kv_row and kv_group as the values are; out is laid out by out_row, out_group.
struct attention_task {
  std::size_t groups = 1, heads = 1, kv_heads = 1, head_dim = 0;
  std::size_t q_row = 0, q_group = 0, kv_row = 0, kv_group = 0, out_row = 0, out_group = 0;
  sequences q, kv;      // the same sequences; a query sees keys up to its own place counted from the end
  const std::int32_t* keys = nullptr;  // of each sequence, where they don't fill its rows (a cache); null: they do
  bool causal = true;
  double scale = 1;     // of q . k
};

/// Row-wise functions n x d -> n x d (softmax, log_softmax) or n x d -> n x 1 (log_sum_exp, sum).
enum class row_function : unsigned char { softmax, log_softmax, log_sum_exp, sum };

}  // namespace modx
