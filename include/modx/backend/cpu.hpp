// The CPU backend: threads, memory and the list of operations.  Declarations only; definitions in cpu.ipp (Eigen).
// This list is the checklist for another backend: docs/backends.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <modx/backend/operations.hpp>
#include <modx/matrix.hpp>
#include <modx/owned.hpp>
#include <span>
#include <string>
#include <utility>

namespace modx {

/// CPU backend over scalars T (float for training, double for the law tests).
/// Results are bit-identical for any number of threads.
template <class T>
class basic_cpu {
  struct state;
  owned<state> state_;

 public:
  using scalar = T;

  /// `threads` = 0 takes the machine's cores.
  explicit basic_cpu(std::uint64_t seed = 1, int threads = 0);
  basic_cpu(basic_cpu&&) noexcept;
  basic_cpu& operator=(basic_cpu&&) noexcept;
  ~basic_cpu();

  static constexpr const char* name() { return "cpu"; }
  std::uint64_t seed() const;
  int threads() const;
  void set_threads(int threads);
  /// Products of operands rounded to bfloat16, summed in float; off at first.  Weights are rounded once an update; routers, norms,
  /// attention, convolutions, losses and optimisers stay in float.  Computed on AMX where there is any; the bits are the same without
  /// it, and it is slower than float then.  Throws for double.
  void use_bf16(bool on);
  bool uses_bf16() const;
  /// What use_bf16() computes on: "AMX", or "vectors: " and why not there.
  static std::string bf16_engine();

  /// Host matrix of normal draws with standard deviation `sd`; a different one at each call.
  matrix<T> normal(std::size_t rows, std::size_t cols, T sd = 1);

  // -- memory
  void* allocate(std::size_t bytes);
  void deallocate(void* p, std::size_t bytes) noexcept;
  void upload(void* device, const void* host, std::size_t bytes);
  void download(void* host, const void* device, std::size_t bytes) const;
  void fill(std::size_t n, T value, T* y);
  /// y = beta y + a x.
  void axpy(std::size_t n, T a, const T* x, T beta, T* y);

  // -- products
  std::size_t packed_size(std::size_t k, std::size_t n) const;
  void pack(std::span<const pack_task<T>> tasks);
  /// Does pack() round now?  What it packed is for products that are as exact, until use_bf16() is called.
  bool packs_rounded(bool exact) const;
  void gemm(std::span<const gemm_task<T>> tasks);
  void gemm(const gemm_task<T>& task) { gemm(std::span(&task, 1)); }

  /// Columns [from, from + n) of a k x columns matrix into its panels in bfloat16 (rounded to even); `from` is a multiple of
  /// bf16_panel() and `out`, of bf16_size(k, columns) elements, is the whole matrix's.
  static std::size_t bf16_panel();
  static std::size_t bf16_size(std::size_t k, std::size_t columns);
  /// Where element (l, column) of a matrix of k rows is in its panels.
  static std::size_t bf16_at(std::size_t k, std::size_t l, std::size_t column);
  void pack_bf16(std::size_t k, std::size_t from, std::size_t n, matrix_view<T> b, std::uint16_t* out);
  /// out (n x k) = columns [from, from + n) of the packed matrix as rows; `from` is a multiple of bf16_panel().
  void unpack_bf16(std::size_t k, std::size_t from, std::size_t n, const std::uint16_t* packed, T* out);
  /// y (n x k) = columns id[t] of the packed k x columns matrix: rows of a table that is packed for x table^T.
  void gather_bf16(std::size_t n, std::size_t k, std::size_t columns, const std::uint16_t* packed, const std::int32_t* id,
                   T* y);

  // -- elementwise: y = f(x), dx = beta dx + dy f'(x); instantiated for the functors of backend/functor.hpp
  template <class F>
  void map(F f, std::size_t n, const T* x, T* y);
  template <class F>
  void map_gradient(F f, std::size_t n, const T* x, const T* y, const T* dy, T beta, T* dx);
  template <class F>
  void zip(F f, std::size_t n, const T* a, const T* b, T* y);
  /// Side 0: dx = beta dx + dy df/da; side 1: ... df/db.
  template <class F>
  void zip_gradient(F f, int side, std::size_t n, const T* a, const T* b, const T* dy, T beta, T* dx);
  void activation_gradient(activation act, std::size_t n, const T* pre, const T* y, const T* dy, T* dpre);

  // -- rows and columns of n x d
  void rows(row_function f, std::size_t n, std::size_t d, const T* x, T* y);
  void rows_gradient(row_function f, std::size_t n, std::size_t d, const T* x, const T* y, const T* dy, T beta,
                     T* dx);
  /// y (n x d) = beta y + x scaled by row: s is n x 1.
  void scale_rows(std::size_t n, std::size_t d, const T* x, const T* s, T beta, T* y);
  /// y (n x 1) = beta y + row-wise dot products of a and b.
  void dot_rows(std::size_t n, std::size_t d, const T* a, const T* b, T beta, T* y);
  /// y (n x d) = x + the 1 x d row r.
  void add_row(std::size_t n, std::size_t d, const T* x, const T* r, T* y);
  /// y (1 x d) = beta y + a * column sums of x, whose rows are `stride` apart.
  void column_sums(std::size_t n, std::size_t d, std::size_t stride, T a, const T* x, T beta, T* y);
  /// y (n x d) = beta y + a * the 1 x d row r in each row.
  void broadcast_row(std::size_t n, std::size_t d, T a, const T* r, T beta, T* y);
  /// Columns [from, from + m) of x (n x d) -> y (n x m), or back: y's columns = beta y + x.
  void take_columns(std::size_t n, std::size_t d, std::size_t from, std::size_t m, const T* x, T beta, T* y);
  void put_columns(std::size_t n, std::size_t d, std::size_t from, std::size_t m, const T* x, T beta, T* y);
  /// *y = a * sum of x.
  void sum(std::size_t n, T a, const T* x, T* y);
  /// Sum of squares over all tensors, in double, on the host.
  double squared_norm(std::span<const update_task<T>> tensors);

  // -- experts: y is n x e x m, w is n x e
  void weighted_sum(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* y, T* out);
  void weighted_sum_gradient(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* y, const T* dout,
                             T beta_w, T* dw, T beta_y, T* dy);
  /// out[t, i] = beta out[t, i] + sum over j of c_t[i, j] y[t, j], or c_t[j, i] transposed; c_t = c + t stride: e x e.
  void mix_experts(std::size_t n, std::size_t e, std::size_t m, std::size_t stride, bool transposed, const T* c,
                   const T* y, T beta, T* out);
  /// c (n x e x e) = beta c + the dot products <a[t, i], b[t, j]>.
  void dot_experts(std::size_t n, std::size_t e, std::size_t m, const T* a, const T* b, T beta, T* c);
  /// out (n x m) = y[t, id[t], :], or back into zeros.
  void pick(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* y, T* out);
  void pick_gradient(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* dout, T beta,
                     T* dy);

  // -- routing
  /// The k largest of each row, largest first, ties to the lowest index, NaN behind every number: ids n x k.
  void top_k(std::size_t n, std::size_t e, std::size_t k, const T* x, std::int32_t* id);
  /// Counting permutation of n * k slots by expert id.
  void permute(std::size_t n, std::size_t e, std::size_t k, const std::int32_t* id, std::int32_t* offsets,
               std::int32_t* position, std::int32_t* source);
  /// y[i] = x[id[i]] for n rows of width d out of x's `rows`.
  void gather_rows(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id, T* y);
  /// y (n x k) = x (n x e)[t, id[t, s]] and its gradient (ids of a row are distinct).
  void gather_columns(std::size_t n, std::size_t e, std::size_t k, const T* x, const std::int32_t* id, T* y);
  void gather_columns_gradient(std::size_t n, std::size_t e, std::size_t k, const T* dy, const std::int32_t* id,
                               T beta, T* dx);
  /// out (n x m) = beta out + sum over slots of w[t, s] y[position[t, s]], in slot order; w null means 1.
  void combine(const permutation& p, std::size_t m, const T* w, const T* y, T beta, T* out);
  /// dw[t, s] = beta_w dw + <dout[t], y[row]>;  dy[row] = w[t, s] dout[t].
  void combine_gradient(const permutation& p, std::size_t m, const T* w, const T* y, const T* dout, T beta_w,
                        T* dw, T* dy);

  // -- transformers
  /// y = gain x^ + bias, x^ = (x - [centred] mean) / sqrt(variance or mean square + eps); gain and bias may be null.
  void normalize(const norm_task& task, const T* x, const T* gain, const T* bias, T* y);
  std::size_t normalize_workspace(const norm_task& task) const;
  /// dx (layout of x; summed over groups that share x), dgain and dbias where not null, with normalize_workspace() elements.
  void normalize_gradient(const norm_task& task, const T* x, const T* gain, const T* dy, T beta_x, T* dx, T beta_gain,
                          T* dgain, T beta_bias, T* dbias, T* workspace);
  /// Rotary positions in place: pairs (j, j + head_dim / 2) turn by position * base^(-2 j / head_dim).
  void rotate(const rotary_task& task, T* x);
  /// out = softmax(scale q k^T) v; log_sum (query rows x groups x heads, or null) is the log of each row's sum.
  void attention(const attention_task& task, const T* q, const T* k, const T* v, T* out, T* log_sum);
  /// Overwrites dq, dk and dv, laid out as q, k and v.
  void attention_gradient(const attention_task& task, const T* q, const T* k, const T* v, const T* out,
                          const T* log_sum, const T* dout, T* dq, T* dk, T* dv);
  /// y (n x f) = act(x[:, :f]) x[:, f:], and its gradient; x: n x 2f.
  void gate(activation act, std::size_t n, std::size_t f, const T* x, T* y);
  void gate_gradient(activation act, std::size_t n, std::size_t f, const T* x, const T* dy, T beta, T* dx);
  /// id = x rounded: ids that came as numbers; -1 for what is no number or no such integer.
  void ids_of(std::size_t n, const T* x, std::int32_t* id);
  /// dx (rows x d) = beta dx; then dx[id[t]] += dy[t] for t = 0, 1, ...: the gradient of gather_rows.
  void scatter_rows(std::size_t n, std::size_t rows, std::size_t d, const T* dy, const std::int32_t* id, T beta, T* dx);
  /// y (rows x d)[id[t]] = x[t]; ids are distinct.
  void put_rows(std::size_t n, std::size_t rows, std::size_t d, const T* x, const std::int32_t* id, T* y);
  /// y (count x d) = mean of each sequence's rows (0 of none), and its gradient.
  void sequence_means(const sequences& s, std::size_t d, const T* x, T* y);
  void sequence_means_gradient(const sequences& s, std::size_t d, const T* dy, T beta, T* dx);

  // -- losses: *loss = mean over rows; `gradient` (n x c) is d loss / d x
  void cross_entropy(std::size_t n, std::size_t c, const T* x, const std::int32_t* label, T* loss, T* gradient);

  // -- convolution
  std::size_t conv_workspace(const conv_task& task, bool backward) const;
  void conv2d(const conv_task& task, const T* x, const T* w, const T* bias, T* y, unsigned char* argmax,
              T* workspace);
  void conv2d_gradient(const conv_task& task, const T* x, const T* w, const T* y, const unsigned char* argmax,
                       const T* dy, T beta_x, T* dx, T beta_w, T* dw, T beta_b, T* dbias, T* workspace);
  void max_pool(const conv_task& task, const T* x, T* y, unsigned char* argmax);
  void max_pool_gradient(const conv_task& task, const unsigned char* argmax, const T* dy, T beta, T* dx);

  // -- optimisers
  void update(const sgd_step& step, std::span<const update_task<T>> tensors);
  void update(const adamw_step& step, std::span<const update_task<T>> tensors);
};

using cpu = basic_cpu<float>;

}  // namespace modx

#ifndef MODX_COMPILED
#include <modx/backend/cpu.ipp>
#endif
