// y = h + activation(sum_k x_k W_k + b): a round of a residual network as one operation, for couplings.
#pragma once
#include <modx/ops/linear.hpp>

namespace modx::ops {

namespace detail {
/// Adds activation(x_0 W_0 + ... + x_{count - 1} W_{count - 1} + b) to h; operands: x_0, W_0, x_1, W_1, ...
template <class B>
var<B> added_products(const char* name, var<B> h, const var<B>* operands, std::size_t count, var<B> bias, activation act) {
  using T = typename B::scalar;
  auto& t = h.on();
  const std::size_t n = h.rows(), m = h.cols();
  bool needs = h.needs_gradient() || (bias && bias.needs_gradient());
  for (std::size_t k = 0; k < count; ++k) {
    const var<B>&x = operands[2 * k], &w = operands[2 * k + 1];
    expect_equal(name, "rows", n, x.rows());
    expect_equal(name, "rows of the weight (the input's width)", x.cols(), w.rows());
    expect_equal(name, "columns of the weight", m, w.cols());
    needs = needs || x.needs_gradient() || w.needs_gradient();
  }
  if (bias) expect_equal(name, "values of the bias", m, bias.size());
  T* out = nullptr;
  auto y = t.result(n, h.columns(), needs, out);
  T* pre = needs && t.recording() && act != activation::none ? t.template device<T>(y.size()) : nullptr;
  const bool exact = t.context.exact;
  packer<B> pack(t, count, exact);
  auto* tasks = t.template host<gemm_task<T>>(count);
  for (std::size_t k = 0; k < count; ++k) {
    const var<B>&x = operands[2 * k], &w = operands[2 * k + 1];
    gemm_task<T> task;
    task.m = n, task.n = m, task.k = x.cols();
    task.a = matrix_view<T>::plain(x.data(), x.cols());
    task.b = matrix_view<T>::plain(w.raw().value, m);
    pack.into(task, w, false, name);
    task.beta = k ? T(1) : T(0), task.c = out, task.ldc = m, task.exact = exact;
    if (k + 1 == count) task.bias = bias ? bias.data() : nullptr, task.act = act, task.pre = pre;
    tasks[k] = task;
  }
  pack.run();
  for (std::size_t k = 0; k < count; ++k) t.backend().gemm(tasks[k]);
  t.backend().axpy(y.size(), 1, h.data(), 1, out);

  t.record(y, [=](const T* dy) {
    auto& tp = h.on();
    auto& b = tp.backend();
    const T* dpre = dy;
    if (act != activation::none) {
      T* p = tp.template device<T>(y.size());
      b.activation_gradient(act, y.size(), pre, pre, dy, p);
      dpre = p;
    } else if (h.needs_gradient()) {  // whose gradient may take dy's memory over
      T* p = tp.template device<T>(y.size());
      b.axpy(y.size(), 1, dy, 0, p);
      dpre = p;
    }
    if (bias && bias.needs_gradient()) {
      const auto target = bias.accumulate();
      b.column_sums(n, m, m, 1, dpre, target.beta, target.data);
    }
    if (h.needs_gradient()) h.take_gradient(y);
    packer<B> prepare(tp, count + 1, exact);
    const auto right = matrix_view<T>::plain(dpre, m);
    const T* packed = nullptr;
    auto* list = tp.template host<gemm_task<T>>(2 * count);
    std::size_t products = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const var<B>&x = operands[2 * k], &w = operands[2 * k + 1];
      if (w.needs_gradient()) {  // dW = x^T dpre
        const auto target = w.accumulate();
        if (!packed) packed = prepare(n, m, right);
        gemm_task<T> task;
        task.m = x.cols(), task.n = m, task.k = n;
        task.a = matrix_view<T>::transposed(x.data(), x.cols());
        task.b = right, task.packed_b = packed;
        task.beta = target.beta, task.c = target.data, task.ldc = m, task.exact = exact;
        list[products++] = task;
      }
      if (!x.needs_gradient()) continue;  // dx = dpre W^T
      const bool gated = x.raw().relu;
      const auto target = x.accumulate(gated);
      if (const auto* p = w.raw().source; p && p->bf16()) {
        frozen_input_gradient<B>(tp, p->bf16(), x.cols(), m, n, dpre, m, target.beta, target.data, x.cols(),
                                 gated ? x.data() : nullptr, exact);
        continue;
      }
      gemm_task<T> task;
      task.m = n, task.n = x.cols(), task.k = m;
      task.a = matrix_view<T>::plain(dpre, m);
      task.b = matrix_view<T>::transposed(w.data(), m);
      task.packed_b = prepare(w, true);
      task.beta = target.beta, task.c = target.data, task.ldc = x.cols();
      task.gate = gated ? x.data() : nullptr, task.exact = exact;
      list[products++] = task;
    }
    prepare.run();
    run_products(b, std::span<const gemm_task<T>>(list, products));
  });
  return y;
}
}  // namespace detail

/// h + activation(x W + b); h: n x m, x: n x d, W: d x m, b: 1 x m or none.
template <class B>
var<B> add_linear(var<B> h, var<B> x, var<B> w, var<B> bias = {}, activation act = activation::none) {
  auto* operands = h.on().template host<var<B>>(2);
  operands[0] = x, operands[1] = w;
  return detail::added_products("add_linear", h, operands, 1, bias, act);
}
/// h + activation(x W + z V + b); z: n x c, V: c x m.
template <class B>
var<B> add_linear(var<B> h, var<B> x, var<B> w, var<B> z, var<B> v, var<B> bias, activation act) {
  auto* operands = h.on().template host<var<B>>(4);
  operands[0] = x, operands[1] = w, operands[2] = z, operands[3] = v;
  return detail::added_products("add_linear", h, operands, 2, bias, act);
}

}  // namespace modx::ops
