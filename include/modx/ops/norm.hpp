// Normalised rows, in groups that have their own gain: layer norm (Ba et al. 2016) and RMS norm (Zhang &
// Sennrich 2019).
#pragma once
#include <modx/ops/rows.hpp>

namespace modx::ops {

namespace detail {
/// x: n x d, read by every group, or n x (g d); gain and bias (or empty): g x d; result n x (g d).
template <class B>
var<B> normalized(const char* name, bool centred, var<B> x, var<B> gain, var<B> bias, double eps) {
  using T = typename B::scalar;
  const std::size_t n = x.rows(), g = gain.rows(), d = gain.cols();
  expect_positive(name, "columns of the gain", static_cast<long long>(gain.size()));
  if (x.cols() != d && x.cols() != g * d)
    throw error(name, std::to_string(d) + " columns" + (g > 1 ? " or " + std::to_string(g * d) : ""),
                std::to_string(x.cols()));
  if (bias) expect_same_shape(name, gain, bias);
  if (!(eps >= 0)) throw error(name, "eps >= 0", std::to_string(eps));
  norm_task task;
  task.n = n, task.groups = g, task.d = d;
  task.x_row = x.cols(), task.x_group = x.cols() == g * d ? d : 0;
  task.y_row = g * d, task.y_group = d, task.gain_group = g > 1 ? d : 0;
  task.centred = centred, task.eps = eps;
  checked_product(name, n, g * d);
  T* out = nullptr;
  auto y = x.on().result(n, g == 1 ? x.columns() : extent(g * d),
                         x.needs_gradient() || gain.needs_gradient() || (bias && bias.needs_gradient()), out);
  x.backend().normalize(task, x.data(), gain.data(), bias ? bias.data() : nullptr, out);
  x.on().record(y, [=](const T* dy) {
    gradient_target<T> gx{nullptr, 0}, gg{nullptr, 0}, gb{nullptr, 0};
    if (x.needs_gradient()) gx = x.accumulate();
    if (gain.needs_gradient()) gg = gain.accumulate();
    if (bias && bias.needs_gradient()) gb = bias.accumulate();
    T* workspace = x.on().template device<T>(x.backend().normalize_workspace(task));
    x.backend().normalize_gradient(task, x.data(), gain.data(), dy, gx.beta, gx.data, gg.beta, gg.data,
                                   gb.beta, gb.data, workspace);
  });
  return y;
}
}  // namespace detail

/// y = gain (x - mean) / sqrt(variance + eps) + bias for each row; gain, bias: 1 x d.  With gain and bias g x
/// d every group of d columns has its own; x n x d is then read by all of them, and y is n x (g d).
template <class B>
var<B> layer_norm(var<B> x, var<B> gain, var<B> bias, double eps = 1e-5) {
  return detail::normalized("layer_norm", true, x, gain, bias, eps);
}
/// y = gain x / sqrt(mean of squares + eps); groups as in layer_norm.
template <class B>
var<B> rms_norm(var<B> x, var<B> gain, double eps = 1e-6) {
  return detail::normalized("rms_norm", false, x, gain, var<B>{}, eps);
}

}  // namespace modx::ops
