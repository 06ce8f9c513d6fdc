// Matrix products: y = activation(x W + b), plain and grouped by expert, each one fused operation.
#pragma once
#include <modx/ops/rows.hpp>

namespace modx::ops {

namespace detail {
/// How the rows of e groups lie in the input (n x d) and the output.
enum class grouping : unsigned char {
  sorted,  // rows [offsets[g], offsets[g + 1]) of x and y belong to group g
  shared,  // every group reads all of x; y is n x (e m), group g in columns [g m, (g + 1) m)
  blocks   // x is n x (e d) and y is n x (e m), group g in its block of columns
};

/// The weights of e groups: each d x m, each bias 1 x m.
template <class B>
struct group_list {
  std::size_t count = 0;
  const var<B>* weights = nullptr;
  const var<B>* biases = nullptr;         // null for none
  grouping kind = grouping::shared;
  const std::int32_t* offsets = nullptr;  // count + 1, for sorted
};

/// Packs right operands in one call: cached in the parameter where there is one.  exact: for products that are.
template <class B>
class packer {
  using T = typename B::scalar;
  tape<B>* tape_;
  pack_task<T>* tasks_;
  std::size_t count_ = 0;
  bool exact_;

 public:
  packer(tape<B>& t, std::size_t capacity, bool exact)
      : tape_(&t), tasks_(t.template host<pack_task<T>>(capacity)), exact_(exact) {}
  const T* operator()(std::size_t k, std::size_t n, matrix_view<T> b) {
    const std::size_t size = tape_->backend().packed_size(k, n);
    if (size == 0) return nullptr;
    T* out = tape_->template device<T>(size);
    tasks_[count_++] = {k, n, b, out, exact_};
    return out;
  }
  const T* operator()(var<B> w, bool transposed) {
    if (auto* p = w.raw().source) {
      const T* packed = p->packed(transposed, exact_, tasks_[count_]);
      count_ += tasks_[count_].out != nullptr;
      return packed;
    }
    return transposed ? (*this)(w.cols(), w.rows(), matrix_view<T>::transposed(w.data(), w.cols()))
                      : (*this)(w.rows(), w.cols(), matrix_view<T>::plain(w.data(), w.cols()));
  }
  /// Sets the right operand of a product: the packed weight, or the panels of one that is frozen in bfloat16.
  void into(gemm_task<T>& task, var<B> w, bool transposed, const char* name) {
    const auto* p = w.raw().source;
    if (!p || !p->bf16()) {
      task.packed_b = (*this)(w, transposed);
      return;
    }
    if (p->bf16_transposed() != transposed)
      throw error(std::string(name) + " with '" + p->name() + "'", std::string("a weight frozen for x W") + (transposed ? "^T" : ""),
                  std::string("one for x W") + (transposed ? "" : "^T"));
    task.packed_bf16 = p->bf16();
  }
  void run() {
    if (count_) tape_->backend().pack(std::span<const pack_task<T>>(tasks_, count_));
  }
};

/// dx = beta dx + dy W^T for a W (k x m) frozen in bfloat16: some columns of W at a time as floats again.  dx, gate: rows x k,
/// `stride` apart; dy: rows x m.
template <class B, class T = typename B::scalar>
void frozen_input_gradient(tape<B>& t, const std::uint16_t* panels, std::size_t k, std::size_t m, std::size_t rows,
                           const T* dy, std::size_t dy_stride, T beta, T* dx, std::size_t stride, const T* gate, bool exact) {
  if constexpr (requires { t.backend().bf16_panel(); }) {
    auto& b = t.backend();
    const std::size_t slab = 64 * std::max<std::size_t>(16, b.bf16_panel());
    T* part = t.template device<T>(std::min(slab, m) * k);
    const std::size_t size = b.packed_size(std::min(slab, m), k);
    T* packed = size ? t.template device<T>(size) : nullptr;
    for (std::size_t from = 0; from < m; from += slab) {
      gemm_task<T> task;
      task.m = rows, task.n = k, task.k = std::min(slab, m - from);
      b.unpack_bf16(k, from, task.k, panels, part);
      task.a = matrix_view<T>::plain(dy + from, dy_stride), task.b = matrix_view<T>::plain(part, k);
      const pack_task<T> pack{task.k, k, task.b, packed, exact};
      if (packed) b.pack(std::span<const pack_task<T>>(&pack, 1));
      task.packed_b = packed, task.beta = from ? T(1) : beta;
      task.c = dx, task.ldc = stride, task.gate = gate, task.exact = exact;
      b.gemm(task);
    }
  }
}

/// Where group g reads and writes.
template <class B>
struct group_layout {
  group_list<B> groups;
  std::size_t n, d, m;

  bool sorted() const { return groups.kind == grouping::sorted; }
  std::size_t first(std::size_t g) const { return sorted() ? std::size_t(groups.offsets[g]) : 0; }
  std::size_t rows(std::size_t g) const {
    return sorted() ? std::size_t(groups.offsets[g + 1] - groups.offsets[g]) : n;
  }
  std::size_t x_stride() const { return groups.kind == grouping::blocks ? groups.count * d : d; }
  std::size_t y_stride() const { return sorted() ? m : groups.count * m; }
  std::size_t x_at(std::size_t g) const { return groups.kind == grouping::blocks ? g * d : first(g) * d; }
  std::size_t y_at(std::size_t g) const { return sorted() ? first(g) * m : g * m; }
};

/// All at once, or in order when two add to the same gradient (shared tokens; a a; tied weights).
template <class B, class T = typename B::scalar>
void run_products(B& b, std::span<const gemm_task<T>> tasks) {
  bool shared = false;
  for (std::size_t i = 0; i < tasks.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) shared = shared || (tasks[i].m && tasks[j].m && tasks[i].c == tasks[j].c);
  if (!shared) return b.gemm(tasks);
  for (const auto& task : tasks) b.gemm(task);
}

/// y = activation(x W_g + b_g) for the rows of each group g, experts in parallel.
template <class B>
var<B> grouped_linear(const char* name, var<B> x, group_list<B> groups, activation act) {
  using T = typename B::scalar;
  auto& t = x.on();
  const std::size_t e = groups.count, n = x.rows();
  if (e == 0) throw error(name, "at least one weight", "none");
  const std::size_t d = groups.kind == grouping::blocks ? x.cols() / e : x.cols(), m = groups.weights[0].cols();
  bool needs = x.needs_gradient();
  for (std::size_t g = 0; g < e; ++g) {
    expect_equal(name, "rows of the weight (the input's width)", d, groups.weights[g].rows());
    expect_equal(name, "columns of the weight", m, groups.weights[g].cols());
    if (groups.biases) expect_equal(name, "values of the bias", m, groups.biases[g].size());
    needs = needs || groups.weights[g].needs_gradient() || (groups.biases && groups.biases[g].needs_gradient());
  }
  const group_layout<B> at{groups, n, d, m};
  checked_product(name, n, at.y_stride());
  T* out = nullptr;
  auto y = t.result(n, at.y_stride(), needs, out);
  const bool exact = t.context.exact;
  const bool keeps_pre = needs && t.recording() && act != activation::none && act != activation::relu;
  T* pre = keeps_pre ? t.template device<T>(y.size()) : nullptr;
  packer<B> pack(t, e, exact);
  auto* tasks = t.template host<gemm_task<T>>(e);
  for (std::size_t g = 0; g < e; ++g) {
    gemm_task<T> task;
    task.m = at.rows(g), task.n = m, task.k = d;
    task.a = matrix_view<T>::plain(x.data() + at.x_at(g), at.x_stride());
    task.b = matrix_view<T>::plain(groups.weights[g].raw().value, m);
    pack.into(task, groups.weights[g], false, name);
    task.c = out + at.y_at(g), task.ldc = at.y_stride();
    task.bias = groups.biases ? groups.biases[g].data() : nullptr;
    task.act = act;
    task.pre = pre ? pre + at.y_at(g) : nullptr;
    task.exact = exact;
    tasks[g] = task;
  }
  pack.run();
  t.backend().gemm(std::span<const gemm_task<T>>(tasks, e));
  y.raw().relu = act == activation::relu;

  t.record(y, [=](const T* dy) {
    auto& tp = x.on();
    auto& b = tp.backend();
    const T* dpre = dy;
    if (act != activation::none && !y.raw().gated) {
      T* p = tp.template device<T>(y.size());
      b.activation_gradient(act, y.size(), pre, y.data(), dy, p);
      dpre = p;
    }
    packer<B> prepare(tp, 2 * e, exact);
    auto* list = tp.template host<gemm_task<T>>(2 * e);
    std::size_t count = 0;
    for (std::size_t g = 0; g < e; ++g) {  // dW = x^T dpre, db = column sums of dpre
      const T* grad = dpre + at.y_at(g);
      if (groups.biases && groups.biases[g].needs_gradient()) {
        const auto target = groups.biases[g].accumulate();
        b.column_sums(at.rows(g), m, at.y_stride(), 1, grad, target.beta, target.data);
      }
      if (!groups.weights[g].needs_gradient()) continue;
      const auto target = groups.weights[g].accumulate();
      gemm_task<T> task;
      task.m = d, task.n = m, task.k = at.rows(g);
      task.a = matrix_view<T>::transposed(x.data() + at.x_at(g), at.x_stride());
      task.b = matrix_view<T>::plain(grad, at.y_stride());
      task.packed_b = prepare(task.k, m, task.b);
      task.beta = target.beta, task.c = target.data, task.ldc = m, task.exact = exact;
      list[count++] = task;
    }
    const std::size_t dx = count;
    if (x.needs_gradient()) {  // dx = dpre W^T
      const bool gated = x.raw().relu;
      const auto target = x.accumulate(gated);
      for (std::size_t g = 0; g < e; ++g) {
        const T beta = groups.kind == grouping::shared && g > 0 ? T(1) : target.beta;
        const T* gate = gated ? x.data() + at.x_at(g) : nullptr;
        if (const auto* p = groups.weights[g].raw().source; p && p->bf16()) {
          frozen_input_gradient<B>(tp, p->bf16(), d, m, at.rows(g), dpre + at.y_at(g), at.y_stride(), beta,
                                   target.data + at.x_at(g), at.x_stride(), gate, exact);
          continue;
        }
        gemm_task<T> task;
        task.m = at.rows(g), task.n = d, task.k = m;
        task.a = matrix_view<T>::plain(dpre + at.y_at(g), at.y_stride());
        task.b = matrix_view<T>::transposed(groups.weights[g].data(), m);
        task.packed_b = prepare(groups.weights[g], true);
        task.beta = beta;
        task.c = target.data + at.x_at(g), task.ldc = at.x_stride();
        task.gate = gate, task.exact = exact;
        list[count++] = task;
      }
    }
    prepare.run();
    const std::size_t split = groups.kind == grouping::shared && e > 1 ? dx : 0;
    run_products(b, std::span<const gemm_task<T>>(list, split));
    run_products(b, std::span<const gemm_task<T>>(list + split, count - split));
  });
  return y;
}
}  // namespace detail

/// y = activation(x W + b); x: n x d, W: d x m, b: 1 x m or none.
template <class B>
var<B> linear(var<B> x, var<B> w, var<B> bias = {}, activation act = activation::none) {
  auto* operands = x.on().template host<var<B>>(2);
  operands[0] = w, operands[1] = bias;
  return detail::grouped_linear<B>("linear", x, {1, operands, bias ? operands + 1 : nullptr}, act);
}
template <class B>
var<B> linear(var<B> x, parameter<B>& w, std::type_identity_t<parameter<B>*> bias, activation act = activation::none) {
  return linear(x, x.on().use(w), bias ? x.on().use(*bias) : var<B>{}, act);
}
/// a b; a: n x d, b: d x m.
template <class B>
var<B> matmul(var<B> a, var<B> b) {
  auto* operand = a.on().template host<var<B>>(1);
  operand[0] = b;
  return detail::grouped_linear<B>("matmul", a, {1, operand}, activation::none);
}
/// x w^T: a head whose weights are a table of embeddings; x: n x d, w: m x d.
template <class B>
var<B> matmul_transposed(var<B> x, var<B> w) {
  using T = typename B::scalar;
  auto& t = x.on();
  const std::size_t n = x.rows(), d = x.cols(), m = w.rows();
  expect_equal("matmul_transposed", "columns of the weight (the input's width)", d, w.cols());
  T* out = nullptr;
  auto y = t.result(n, m, x.needs_gradient() || w.needs_gradient(), out);
  const bool exact = t.context.exact;
  detail::packer<B> pack(t, 1, exact);
  gemm_task<T> forward;
  forward.m = n, forward.n = m, forward.k = d, forward.c = out, forward.ldc = m;
  forward.a = matrix_view<T>::plain(x.data(), d);
  forward.b = matrix_view<T>::transposed(w.raw().value, d);
  pack.into(forward, w, true, "matmul_transposed");
  forward.exact = exact;
  pack.run();
  t.backend().gemm(forward);
  t.record(y, [=](const T* dy) {
    auto& tp = x.on();
    detail::packer<B> prepare(tp, 2, exact);
    gemm_task<T> tasks[2];
    std::size_t count = 0;
    const auto add = [&](gradient_target<T> g, matrix_view<T> a, std::size_t rows, std::size_t k) -> gemm_task<T>& {
      auto& task = tasks[count++];
      task.m = rows, task.n = d, task.k = k, task.a = a, task.beta = g.beta, task.c = g.data, task.ldc = d;
      task.exact = exact;
      return task;
    };
    if (w.needs_gradient()) {  // dw = dy^T x
      auto& task = add(w.accumulate(), matrix_view<T>::transposed(dy, m), m, n);
      task.b = matrix_view<T>::plain(x.data(), d);
      task.packed_b = prepare(n, d, task.b);
    }
    const auto* p = w.raw().source;
    if (x.needs_gradient() && p && p->bf16()) {
      const auto g = x.accumulate();
      detail::frozen_input_gradient<B>(tp, p->bf16(), d, m, n, dy, m, g.beta, g.data, d,
                                       static_cast<const T*>(nullptr), exact);
    } else if (x.needs_gradient()) {  // dx = dy w
      auto& task = add(x.accumulate(), matrix_view<T>::plain(dy, m), n, m);
      task.b = matrix_view<T>::plain(w.data(), d);
      task.packed_b = prepare(w, false);
    }
    prepare.run();
    detail::run_products(tp.backend(), std::span<const gemm_task<T>>(tasks, count));
  });
  return y;
}

}  // namespace modx::ops
