// CUDA backend: convolution as im2col + product, a part of the images at a time, and max-pooling.  Images are
// channels-last.
#pragma once
#include <modx/backend/cpu/conv_shape.hpp>
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/elementwise.cuh>
#include <modx/backend/cuda/products.cuh>

namespace modx::gpu {

/// One part of a convolution: sizes below 2^31, so that places are found in 32 bits.
struct conv_part {
  unsigned n, h, w, cin, cout, kernel, pad, pool, ch, cw, oh, ow;

  MODX_HD unsigned depth() const { return kernel * kernel * cin; }
};

/// cols (n ch cw) x (kernel^2 cin) = the patch of x under each pixel of the convolution, zeros outside; a thread a
/// cell.
template <class T>
__global__ void take_patches(conv_part s, const T* x, T* cols) {
  for_cells(std::size_t(s.n) * s.ch * s.cw, s.depth(), [=](std::size_t r, std::size_t q) {
    const unsigned row = static_cast<unsigned>(r), tap = static_cast<unsigned>(q) / s.cin;
    const unsigned i = row / s.cw % s.ch + tap / s.kernel - s.pad, j = row % s.cw + tap % s.kernel - s.pad;
    const std::size_t pixel = (std::size_t(row / s.cw / s.ch) * s.h + i) * s.w + j;
    cols[r * s.depth() + q] = i < s.h && j < s.w ? x[pixel * s.cin + q % s.cin] : T(0);  // below 0 is above h
  });
}
/// dx = beta dx + what the patches say of each pixel, taps in order; a thread a cell of dx (n h w) x cin.
template <class T>
__global__ void put_patches(conv_part s, const T* cols, T beta, T* dx) {
  for_cells(std::size_t(s.n) * s.h * s.w, s.cin, [=](std::size_t p, std::size_t c) {
    const unsigned pixel = static_cast<unsigned>(p), i = pixel / s.w % s.h + s.pad, j = pixel % s.w + s.pad;
    T sum = 0;
    for (unsigned tap = 0; tap < s.kernel * s.kernel; ++tap) {
      const unsigned ci = i - tap / s.kernel, cj = j - tap % s.kernel;
      if (ci >= s.ch || cj >= s.cw) continue;
      const std::size_t row = (std::size_t(pixel / s.w / s.h) * s.ch + ci) * s.cw + cj;
      sum += cols[row * s.depth() + tap * s.cin + c];
    }
    blend(beta, sum, dx[p * s.cin + c]);
  });
}
/// y = largest of each window, argmax (or null) its place: the first of equals, NaN before all; a thread a cell of y.
template <class T>
__global__ void pool_windows(conv_part s, const T* x, T* y, unsigned char* argmax) {
  for_cells(std::size_t(s.n) * s.oh * s.ow, s.cout, [=](std::size_t o, std::size_t c) {
    const unsigned out = static_cast<unsigned>(o), i = out / s.ow % s.oh * s.pool, j = out % s.ow * s.pool;
    const T* window = x + ((std::size_t(out / s.ow / s.oh) * s.ch + i) * s.cw + j) * s.cout + c;
    T best = window[0];
    unsigned where = 0;
    for (unsigned q = 1; q < s.pool * s.pool; ++q) {
      const T v = window[(std::size_t(q / s.pool) * s.cw + q % s.pool) * s.cout];
      if (v > best || v != v) best = v, where = q;
    }
    y[o * s.cout + c] = best;
    if (argmax) argmax[o * s.cout + c] = static_cast<unsigned char>(where);
  });
}
/// g (n ch cw) x cout = beta g + dy at each window's winner, where y > 0 (y null: everywhere); a thread a cell of g.
template <class T>
__global__ void unpool_windows(conv_part s, const T* dy, const T* y, const unsigned char* argmax, T beta, T* g) {
  for_cells(std::size_t(s.n) * s.ch * s.cw, s.cout, [=](std::size_t p, std::size_t c) {
    const unsigned pixel = static_cast<unsigned>(p), ci = pixel / s.cw % s.ch, cj = pixel % s.cw;
    const unsigned i = ci / s.pool, j = cj / s.pool;
    T v = 0;
    if (i < s.oh && j < s.ow) {
      const std::size_t o = ((std::size_t(pixel / s.cw / s.ch) * s.oh + i) * s.ow + j) * s.cout + c;
      const unsigned place = ci % s.pool * s.pool + cj % s.pool;
      if ((argmax ? argmax[o] : 0u) == place && (!y || y[o] > T(0))) v = dy[o];
    }
    blend(beta, v, g[p * s.cout + c]);
  });
}

/// How many images a part holds, and its sizes.
struct conv_parts {
  std::size_t images, n;
  conv_part one;

  conv_parts(const char* where, const conv_task& t, std::size_t wanted = im2col_elements) : n(t.n) {
    const auto e = kernels::detail::extents(where, {t.n, t.h, t.w, t.cin, t.cout, t.kernel, t.pad, t.pool});
    const std::size_t depth = t.kernel * t.kernel * t.cin, pixels = e.h_conv * e.w_conv;
    const std::size_t most = std::max({pixels * depth, pixels * t.cout, t.h * t.w * t.cin, std::size_t(1)});
    if (most > 0x3fffffff) throw error(where, "an image of fewer than 2^30 values", std::to_string(most));
    images = std::max<std::size_t>(1, std::min(wanted / most, n));
    const auto u = [](std::size_t v) { return static_cast<unsigned>(v); };
    one = {u(images), u(t.h),    u(t.w),      u(t.cin),    u(t.cout),  u(t.kernel),
           u(t.pad),  u(t.pool), u(e.h_conv), u(e.w_conv), u(e.h_out), u(e.w_out)};
  }
  std::size_t pixels() const { return std::size_t(one.ch) * one.cw; }
  std::size_t inputs() const { return std::size_t(one.h) * one.w * one.cin; }
  std::size_t outputs() const { return std::size_t(one.oh) * one.ow * one.cout; }
  std::size_t columns() const { return images * pixels() * one.depth(); }
  std::size_t values() const { return images * pixels() * one.cout; }
  /// f(part, first image) for each part.
  template <class F>
  void each(F f) const {
    for (std::size_t i = 0; i < n; i += images) {
      conv_part part = one;
      part.n = static_cast<unsigned>(std::min(images, n - i));
      f(part, i);
    }
  }
};

}  // namespace modx::gpu

namespace modx {

template <class T>
std::size_t basic_cuda<T>::conv_workspace(const conv_task& task, bool backward) const {
  const gpu::conv_parts parts("conv2d", task);
  return parts.columns() + (backward || task.pool > 1 ? parts.values() : 0);
}
template <class T>
void basic_cuda<T>::conv2d(const conv_task& task, const T* x, const T* w, const T* bias, T* y, unsigned char* argmax,
                           T* workspace) {
  const gpu::conv_parts parts("conv2d_forward", task);
  auto& device = state_->device;
  T* const cols = workspace;
  T* const before_pool = workspace + parts.columns();
  parts.each([&](const gpu::conv_part& part, std::size_t first) {
    const std::size_t rows = part.n * parts.pixels(), depth = part.depth();
    T* const out = y + first * parts.outputs();
    device.launch(gpu::take_patches<T>, gpu::cells(rows, depth), part, x + first * parts.inputs(), cols);
    gemm_task<T> product;
    product.m = rows, product.n = part.cout, product.k = depth;
    product.a = matrix_view<T>::plain(cols, depth);
    product.b = matrix_view<T>::plain(w, part.cout);
    product.c = part.pool > 1 ? before_pool : out, product.ldc = part.cout;
    product.bias = bias, product.act = task.relu ? activation::relu : activation::none;
    gemm(product);
    if (part.pool == 1 || parts.outputs() == 0) return;
    device.launch(gpu::pool_windows<T>, gpu::cells(std::size_t(part.n) * part.oh * part.ow, part.cout), part,
                  before_pool, out, argmax ? argmax + first * parts.outputs() : nullptr);
  });
}
template <class T>
void basic_cuda<T>::conv2d_gradient(const conv_task& task, const T* x, const T* w, const T* y,
                                    const unsigned char* argmax, const T* dy, T beta_x, T* dx, T beta_w, T* dw,
                                    T beta_b, T* dbias, T* workspace) {
  const gpu::conv_parts parts("conv2d_backward", task);
  auto& device = state_->device;
  if (task.pool > 1 && !argmax && task.n * parts.outputs() > 0)
    throw error("conv2d_backward", "argmax when pool > 1", "null");
  const std::size_t weights = parts.one.depth() * std::size_t(parts.one.cout);
  if (task.n == 0) {
    if (dw) device.launch(gpu::scale_each<T>, gpu::elements(weights), weights, beta_w, dw);
    if (dbias) device.launch(gpu::scale_each<T>, gpu::elements(task.cout), task.cout, beta_b, dbias);
    return;
  }
  T* const cols = workspace;
  T* const grad = workspace + parts.columns();
  parts.each([&](const gpu::conv_part& part, std::size_t first) {
    const std::size_t rows = part.n * parts.pixels(), depth = part.depth(), at = first * parts.outputs();
    device.launch(gpu::unpool_windows<T>, gpu::cells(rows, part.cout), part, dy + at, task.relu ? y + at : nullptr,
                  argmax ? argmax + at : nullptr, T(0), grad);
    if (dbias) column_sums(rows, part.cout, part.cout, 1, grad, first ? T(1) : beta_b, dbias);
    gemm_task<T> product;
    if (dw) {  // dw = cols^T grad
      device.launch(gpu::take_patches<T>, gpu::cells(rows, depth), part, x + first * parts.inputs(), cols);
      product.m = depth, product.n = part.cout, product.k = rows;
      product.a = matrix_view<T>::transposed(cols, depth);
      product.b = matrix_view<T>::plain(grad, part.cout);
      product.beta = first ? T(1) : beta_w, product.c = dw, product.ldc = part.cout;
      gemm(product);
    }
    if (dx) {  // cols = grad w^T
      product = {};
      product.m = rows, product.n = depth, product.k = part.cout;
      product.a = matrix_view<T>::plain(grad, part.cout);
      product.b = matrix_view<T>::transposed(w, part.cout);
      product.c = cols, product.ldc = depth;
      gemm(product);
      device.launch(gpu::put_patches<T>, gpu::cells(std::size_t(part.n) * part.h * part.w, part.cin), part, cols,
                    beta_x, dx + first * parts.inputs());
    }
  });
}
template <class T>
void basic_cuda<T>::max_pool(const conv_task& task, const T* x, T* y, unsigned char* argmax) {
  const gpu::conv_parts parts("max_pool", {task.n, task.h, task.w, task.cin, task.cin, 1, 0, task.pool}, 1 << 28);
  if (parts.outputs() == 0) return;
  parts.each([&](const gpu::conv_part& part, std::size_t first) {
    const std::size_t at = first * parts.outputs();
    state_->device.launch(gpu::pool_windows<T>, gpu::cells(std::size_t(part.n) * part.oh * part.ow, part.cout), part,
                          x + first * parts.inputs(), y + at, argmax ? argmax + at : nullptr);
  });
}
template <class T>
void basic_cuda<T>::max_pool_gradient(const conv_task& task, const unsigned char* argmax, const T* dy, T beta, T* dx) {
  const gpu::conv_parts parts("max_pool", {task.n, task.h, task.w, task.cin, task.cin, 1, 0, task.pool}, 1 << 28);
  if (!argmax && task.pool > 1 && task.n * parts.outputs() > 0)
    throw error("max_pool_backward", "argmax when pool > 1", "null");
  parts.each([&](const gpu::conv_part& part, std::size_t first) {
    const std::size_t at = first * parts.outputs();
    state_->device.launch(gpu::unpool_windows<T>, gpu::cells(part.n * parts.pixels(), part.cin), part, dy + at,
                          static_cast<const T*>(nullptr), argmax ? argmax + at : nullptr, beta,
                          dx + first * parts.inputs());
  });
}

}  // namespace modx
