// Losses as single fused operations.
#pragma once
#include <modx/ops/rows.hpp>

namespace modx::ops {

/// Mean over tokens of -log softmax(x)[label]; x: n x c logits.
template <class B>
var<B> cross_entropy(var<B> x, const std::int32_t* label) {
  using T = typename B::scalar;
  auto& t = x.on();
  expect_positive("cross_entropy", "tokens", static_cast<long long>(x.rows()));
  detail::expect_ids("cross_entropy", label, x.rows());
  T* out = nullptr;
  auto y = t.result(1, 1, x.needs_gradient(), out);
  T* gradient = y.needs_gradient() ? t.template device<T>(x.size()) : nullptr;
  t.backend().cross_entropy(x.rows(), x.cols(), x.data(), label, out, gradient);
  t.record(y, [=](const T* dy) {
    const auto g = x.accumulate();
    x.backend().scale_rows(1, x.size(), gradient, dy, g.beta, g.data);  // dy is 1 x 1
  });
  return y;
}

}  // namespace modx::ops
