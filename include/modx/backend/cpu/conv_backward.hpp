// dx, dw and dbias of y = pool(relu(x * w + bias)), the gradient of the convolution rebuilt sample by sample.
#pragma once
#include <algorithm>
#include <cstddef>

#include "modx/backend/cpu/conv_plan.hpp"
#include "modx/backend/cpu/conv_shape.hpp"
#include "modx/backend/cpu/max_pool.hpp"
#include "modx/backend/cpu/pack.hpp"
#include "modx/backend/cpu/thread_pool.hpp"
#include "modx/backend/cpu/tile.hpp"
#include "modx/error.hpp"

namespace modx::kernels {

namespace detail {

/// The weights turned by 180 degrees and transposed: [panel of cin][panel of cout][tap][cout][cin].
template <class T>
void pack_flipped(thread_pool& pool, const conv_shape& s, const conv_plan<T>& plan, const T* w, T* packed) {
  constexpr std::size_t width = tile_cols<T>;
  const std::size_t taps = s.kernel * s.kernel, panel = plan.out_panels * taps * width * width;
  pool.run(plan.in_panels, [&](std::size_t p) {
    T* to = packed + p * panel;
    std::fill_n(to, panel, T(0));
    for (std::size_t q = 0; q < plan.out_panels; ++q) {
      for (std::size_t t = 0; t < taps; ++t, to += width * width) {
        const T* from = w + ((taps - 1 - t) * s.cin + p * width) * s.cout + q * width;
        const view<T> transposed{from, 1, static_cast<std::ptrdiff_t>(s.cout)};
        pack_panel(std::min(width, s.cout - q * width), std::min(width, s.cin - p * width), width, transposed,
                   to);
      }
    }
  });
}

/// The gradient of one sample's convolution from dy at its pooled output, in panels of channels inside a
/// border of zeros; dbias += its sums.  y is null without relu.
template <class T>
void spread_gradient(const conv_shape& s, const conv_plan<T>& plan, const T* dy, const T* y,
                     const unsigned char* argmax, T* grad, T* dbias) {
  constexpr std::size_t width = tile_cols<T>;
  for (std::size_t p = 0; p < plan.out_panels; ++p) {
    const std::size_t cols = std::min(width, s.cout - p * width);
    vec<T> total[2] = {};
    with_pool(s.pool, [&](auto fixed) {
      for (std::size_t i = 0; i < plan.e.h_out; ++i) {
        T* g = grad + p * plan.plane + (plan.border + i * s.pool) * plan.line + plan.border * width;
        for (std::size_t j = 0; j < plan.e.w_out; ++j, g += s.pool * width) {
          const std::size_t at = (i * plan.e.w_out + j) * s.cout + p * width;
          unpool_window<fixed()>(dy + at, y ? y + at : nullptr, argmax ? argmax + at : nullptr, cols, s.pool,
                                 g, plan.line, total);
        }
      }
    });
    T sums[width];
    store(sums, total[0]);
    store(sums + lanes<T>, total[1]);
    for (std::size_t j = 0; j < cols; ++j) dbias[p * width + j] += sums[j];
  }
}

/// dw = beta dw + x^T grad for one (padded) sample: a product over its pixels for each row of taps.
template <class T>
void weight_gradient(const conv_shape& s, const conv_plan<T>& plan, const T* sample, const T* grad, T beta,
                     T* dw) {
  constexpr std::size_t width = tile_cols<T>;
  const std::size_t row = plan.e.w_in * s.cin, taps = s.kernel * s.cin;
  for (std::size_t p = 0; p < plan.out_panels; ++p) {
    factors<T> f{};
    f.stride = static_cast<std::ptrdiff_t>(s.cin);
    f.b = grad + p * plan.plane + plan.border * (plan.line + width);
    f.ldb = static_cast<std::ptrdiff_t>(width);
    f.k = plan.e.w_out * s.pool;
    f.segments = plan.e.h_out * s.pool;
    f.a_step = static_cast<std::ptrdiff_t>(row);
    f.b_step = static_cast<std::ptrdiff_t>(plan.line);
    for (std::size_t t = 0; t < s.kernel; ++t) {
      each_tile(taps, [&](std::size_t first, std::size_t rows) {
        f.a = sample + t * row + first;
        T* const c = dw + (t * taps + first) * s.cout + p * width;
        tile_for<T, layout::across>(rows)(f, {beta, c, s.cout, std::min(width, s.cout - p * width)});
      });
    }
  }
}

/// dx = beta dx + the convolution of the bordered gradient with the flipped weights, for one sample.
template <class T>
void input_gradient(const conv_shape& s, const conv_plan<T>& plan, const T* grad, const T* packed, T beta,
                    T* dx) {
  constexpr std::size_t width = tile_cols<T>;
  const std::size_t row = s.kernel * width * width;
  factors<T> f{};
  f.ldb = static_cast<std::ptrdiff_t>(width);
  f.k = s.kernel * width;
  f.segments = s.kernel;
  f.a_step = static_cast<std::ptrdiff_t>(plan.line);
  f.b_step = static_cast<std::ptrdiff_t>(row);
  f.groups = plan.out_panels;
  f.a_group = static_cast<std::ptrdiff_t>(plan.plane);
  const image<T> in{grad + plan.shift * (plan.line + width), s.w, width, plan.line};
  for (std::size_t p = 0; p < plan.in_panels; ++p) {
    f.b = packed + p * plan.out_panels * s.kernel * row;
    image_tiles(in, s.h * s.w, f, target<T>{beta, dx + p * width, s.cin, std::min(width, s.cin - p * width)});
  }
}

/// to += the chunks' partial sums, always in their order.
template <class T>
void add_parts(thread_pool& pool, const conv_plan<T>& plan, const T* parts, std::size_t size, T* to) {
  constexpr std::size_t piece = 2048;
  pool.run((size + piece - 1) / piece, [&](std::size_t task) {
    const std::size_t begin = task * piece, count = std::min(size - begin, piece);
    for (std::size_t c = 0; c < plan.chunks; ++c) {
      const T* from = parts + c * plan.chunk + begin;
      for (std::size_t i = 0; i < count; ++i) to[begin + i] += from[i];
    }
  });
}

}  // namespace detail

/// From dy at the pooled y: dx = beta_dx dx + ..., dw += ..., dbias += ...; any of the three may be null.
template <class T>
void conv2d_backward(thread_pool& pool, const conv_shape& s, const T* x, const T* w, bool relu, const T* y,
                     const unsigned char* argmax, const T* dy, T* dx, T beta_dx, T* dw, T* dbias,
                     T* workspace) {
  const detail::conv_plan<T> plan("conv2d_backward", s, true);
  const std::size_t outputs = plan.e.h_out * plan.e.w_out * s.cout, inputs = s.h * s.w * s.cin;
  if (s.pool > 1 && !argmax && s.n * outputs > 0)
    throw error("conv2d_backward", "argmax when pool > 1", "null");
  T* const packed = plan.aligned(workspace);
  if (dx) detail::pack_flipped(pool, s, plan, w, packed);
  T* const parts = packed + plan.weights;
  pool.run(plan.chunks, [&](std::size_t chunk) {
    T* const padded = parts + chunk * plan.chunk;
    T* const grad = padded + plan.padded;
    T* const part_dw = grad + plan.grad;
    T* const part_dbias = part_dw + plan.dw;
    std::fill_n(padded, plan.padded + plan.grad, T(0));
    std::fill_n(part_dbias, plan.dbias, T(0));
    const std::size_t begin = plan.first_sample(s, chunk);
    for (std::size_t n = begin; n < plan.first_sample(s, chunk + 1); ++n) {
      const std::size_t at = n * outputs;
      detail::spread_gradient(s, plan, dy + at, relu ? y + at : nullptr, argmax ? argmax + at : nullptr, grad,
                              part_dbias);
      if (dw) {
        const T* sample = detail::pad_sample(s, plan.e, x + n * inputs, padded);
        detail::weight_gradient(s, plan, sample, grad, n == begin ? T(0) : T(1), part_dw);
      }
      if (dx) detail::input_gradient(s, plan, grad, packed, beta_dx, dx + n * inputs);
    }
  });
  const T* const sums = parts + plan.padded + plan.grad;
  if (dw) detail::add_parts(pool, plan, sums, s.kernel * s.kernel * s.cin * s.cout, dw);
  if (dbias) detail::add_parts(pool, plan, sums + plan.dw, s.cout, dbias);
}

}  // namespace modx::kernels
