// Convolution with bias, ReLU and max-pooling in one operation; images are n x (height, width, channels).
#pragma once
#include <modx/ops/rows.hpp>

namespace modx::ops {

/// y = max_pool(relu(x * W + b)); W: (kernel^2 cin) x cout, tap-major (dy, dx, cin); stride 1, zero padding.
template <class B>
var<B> conv2d(var<B> x, var<B> w, var<B> bias, std::size_t kernel, std::size_t pad, bool relu, std::size_t pool = 1) {
  using T = typename B::scalar;
  auto& t = x.on();
  const extent in = x.columns();
  expect_positive("conv2d", "kernel", static_cast<long long>(kernel));
  expect_positive("conv2d", "pool", static_cast<long long>(pool));
  if (pad > 65535) throw error("conv2d", "padding below 65536", std::to_string(pad));
  expect_positive("conv2d", "channels", static_cast<long long>(in.channels));
  expect_positive("conv2d", "channels out", static_cast<long long>(w.cols()));
  if (kernel > 65535) throw error("conv2d", "kernel below 65536", std::to_string(kernel));
  conv_task task{x.rows(), in.height, in.width, in.channels, w.cols(), kernel, pad, pool, relu};
  expect_equal("conv2d", "rows of the weight (kernel^2 x channels)", kernel * kernel * in.channels, w.rows());
  expect_equal("conv2d", "values of the bias", w.cols(), bias.size());
  if (in.height + 2 * pad < kernel || in.width + 2 * pad < kernel || task.out_h() == 0 || task.out_w() == 0)
    throw error("conv2d", "an image of at least " + std::to_string(kernel) + " x " + std::to_string(kernel) +
                              " after padding " + std::to_string(pad) + ", and " + std::to_string(pool) + " x " +
                              std::to_string(pool) + " before pooling", to_string(in));
  T* out = nullptr;
  const bool needs = x.needs_gradient() || w.needs_gradient() || bias.needs_gradient();
  auto y = t.result(task.n, {task.out_h(), task.out_w(), task.cout}, needs, out);
  auto* argmax = pool > 1 ? t.template device<unsigned char>(y.size()) : nullptr;
  t.backend().conv2d(task, x.data(), w.data(), bias.data(), out, argmax,
                     t.template device<T>(t.backend().conv_workspace(task, false)));
  t.record(y, [=](const T* dy) {
    gradient_target<T> gx{nullptr, 0}, gw{nullptr, 0}, gb{nullptr, 0};
    if (x.needs_gradient()) gx = x.accumulate();
    if (w.needs_gradient()) gw = w.accumulate();
    if (bias.needs_gradient()) gb = bias.accumulate();
    auto& b = x.backend();
    b.conv2d_gradient(task, x.data(), w.data(), y.data(), argmax, dy, gx.beta, gx.data, gw.beta, gw.data, gb.beta,
                      gb.data, x.on().template device<T>(b.conv_workspace(task, true)));
  });
  return y;
}

/// Maximum over windows of size x size, stride size; ties to the first.
template <class B>
var<B> max_pool(var<B> x, std::size_t size) {
  using T = typename B::scalar;
  auto& t = x.on();
  const extent in = x.columns();
  expect_positive("max_pool", "size", static_cast<long long>(size));
  if (in.height < size || in.width < size)
    throw error("max_pool", "an image of at least " + std::to_string(size) + " x " + std::to_string(size), to_string(in));
  conv_task task{x.rows(), in.height, in.width, in.channels, in.channels, 1, 0, size, false};
  T* out = nullptr;
  auto y = t.result(task.n, {task.out_h(), task.out_w(), in.channels}, x.needs_gradient(), out);
  auto* argmax = t.template device<unsigned char>(y.size());
  t.backend().max_pool(task, x.data(), out, argmax);
  t.record(y, [=](const T* dy) {
    const auto g = x.accumulate();
    x.backend().max_pool_gradient(task, argmax, dy, g.beta, g.data);
  });
  return y;
}

}  // namespace modx::ops
