// y = pool(relu(x * w + bias)): convolution of channels-last images as shifted products, forward and backward.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "modx/backend/cpu/conv_shape.hpp"
#include "modx/backend/cpu/max_pool.hpp"
#include "modx/backend/cpu/pack.hpp"
#include "modx/backend/cpu/thread_pool.hpp"
#include "modx/backend/cpu/tile.hpp"

namespace modx::kernels {

namespace detail {

/// Samples are split into this many chunks at most, whatever the number of threads: partial sums are theirs.
inline constexpr std::size_t conv_chunks = 32;

/// Where the parts of the workspace begin, in elements; the parts after `chunk` repeat for each chunk.
template <class T>
struct conv_plan {
  static constexpr std::size_t width = tile_cols<T>;
  conv_extents e;
  std::size_t chunks, in_panels, out_panels;   // panels of cin, of cout
  std::size_t border, shift, h_grad, w_grad;   // geometry of the padded gradient: see conv2d_backward
  std::size_t weights, grad, dw, dbias;        // sizes of one part each
  std::size_t padded, buffer, chunk, total;

  static std::size_t line(std::size_t n) { return (n + width - 1) / width * width; }

  conv_plan(const char* where, const conv_shape& s, bool backward) : e(extents(where, s)) {
    chunks = std::min(s.n, conv_chunks);
    in_panels = (s.cin + width - 1) / width;
    out_panels = (s.cout + width - 1) / width;
    border = s.pad < s.kernel ? s.kernel - 1 - s.pad : 0;
    shift = s.pad < s.kernel ? 0 : s.pad - (s.kernel - 1);
    h_grad = e.h_conv + 2 * border;
    w_grad = e.w_conv + 2 * border;
    const std::size_t taps = s.kernel * s.kernel;
    padded = s.pad ? line(e.h_in * e.w_in * s.cin) : 0;
    buffer = s.pool > 1 ? line(s.pool * e.w_out * s.pool * width) : 0;
    grad = out_panels * h_grad * w_grad * width;
    dw = line(taps * s.cin * s.cout);
    dbias = line(s.cout);
    weights = backward ? in_panels * out_panels * taps * width * width : out_panels * taps * s.cin * width;
    chunk = padded + (backward ? grad + dw + dbias : buffer);
    total = weights + chunks * chunk + 64 / sizeof(T);
  }

  static T* aligned(T* workspace) {
    const auto address = reinterpret_cast<std::uintptr_t>(workspace);
    return workspace + (64 - address % 64) % 64 / sizeof(T);
  }
  std::size_t first_sample(const conv_shape& s, std::size_t c) const { return c * s.n / chunks; }
};

/// The sample with zeros around it, in padded (whose border is zero already), or itself when there is no padding.
template <class T>
const T* pad_sample(const conv_shape& s, const conv_extents& e, const T* x, T* padded) {
  if (s.pad == 0) return x;
  for (std::size_t i = 0; i < s.h; ++i) {
    std::copy_n(x + i * s.w * s.cin, s.w * s.cin, padded + ((i + s.pad) * e.w_in + s.pad) * s.cin);
  }
  return padded;
}

/// The pixels that a convolution starts from, counted along rows of `width`.
template <class T>
struct image {
  const T* data;
  std::size_t width, pixel, line;  // pixel and line: the distance to the next one
};

/// c (count x cols) = the target's function of the sums f at the first count pixels, tiles running on over row ends.
template <class T>
void image_tiles(const image<T>& in, std::size_t count, factors<T> f, const target<T>& c) {
  f.stride = static_cast<std::ptrdiff_t>(in.pixel);
  each_tile(count, [&](std::size_t first, std::size_t rows) {
    const std::size_t i = first / in.width, j = first % in.width;
    target<T> to = c;
    to.c += first * c.ldc;
    f.a = in.data + i * in.line + j * in.pixel;
    if (j + rows <= in.width) return tile_for<T, layout::along>(rows)(f, to);
    std::ptrdiff_t offsets[tile_rows];
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t p = j + r;
      offsets[r] = static_cast<std::ptrdiff_t>(p / in.width * in.line + p % in.width * in.pixel) -
                   static_cast<std::ptrdiff_t>(j * in.pixel);
    }
    f.rows = offsets;
    tile_for<T, layout::scattered>(rows)(f, to);
  });
}

}  // namespace detail

/// Elements of workspace for conv2d_forward or conv2d_backward, the same for any number of threads.
template <class T>
std::size_t conv_workspace(const conv_shape& s, bool backward) {
  return detail::conv_plan<T>("conv2d", s, backward).total;
}

/// y = pool(relu?(x * w + bias)); argmax: each winner's place in its window, row-major; bias and argmax may be null.
template <class T>
void conv2d_forward(thread_pool& pool, const conv_shape& s, const T* x, const T* w, const T* bias, bool relu, T* y,
                    unsigned char* argmax, T* workspace) {
  using namespace detail;
  const conv_plan<T> plan("conv2d_forward", s, false);
  const conv_extents& e = plan.e;
  constexpr std::size_t width = tile_cols<T>;
  const std::size_t depth = s.kernel * s.kernel * s.cin;
  T* const packed = plan.aligned(workspace);
  for (std::size_t p = 0; p < plan.out_panels; ++p) {
    const view<T> columns{w + p * width, static_cast<std::ptrdiff_t>(s.cout), 1};
    pack_panel(depth, std::min(width, s.cout - p * width), width, columns, packed + p * depth * width);
  }
  pool.run(plan.chunks, [&](std::size_t chunk) {
    T* const padded = packed + plan.weights + chunk * plan.chunk;
    T* const rows = padded + plan.padded;
    std::fill_n(padded, plan.padded, T(0));
    for (std::size_t n = plan.first_sample(s, chunk); n < plan.first_sample(s, chunk + 1); ++n) {
      const T* sample = pad_sample(s, e, x + n * s.h * s.w * s.cin, padded);
      for (std::size_t p = 0; p < plan.out_panels; ++p) {
        const std::size_t cols = std::min(width, s.cout - p * width), used = e.w_out * s.pool;
        const std::size_t band = s.pool > 1 ? 1 : e.h_out;
        for (std::size_t i = 0; i < e.h_out; i += band) {  // rows of the output; their windows when they are pooled
          const std::size_t count = std::min(band, e.h_out - i) * s.pool * used;
          T* const out = y + (n * e.h_out + i) * e.w_out * s.cout + p * width;
          const image<T> in{sample + i * s.pool * e.w_in * s.cin, used, s.cin, e.w_in * s.cin};
          factors<T> f{};
          f.b = packed + p * depth * width;
          f.ldb = static_cast<std::ptrdiff_t>(width);
          f.k = s.kernel * s.cin;
          f.segments = s.kernel;
          f.a_step = static_cast<std::ptrdiff_t>(e.w_in * s.cin);
          f.b_step = static_cast<std::ptrdiff_t>(s.kernel * s.cin * width);
          target<T> to{T(0), s.pool > 1 ? rows : out, s.pool > 1 ? width : s.cout, cols};
          to.bias = bias ? bias + p * width : nullptr;
          to.act = relu ? activation::relu : activation::none;
          image_tiles(in, count, f, to);
          if (s.pool == 1) continue;
          with_pool(s.pool, [&](auto fixed) {
            for (std::size_t j = 0; j < e.w_out; ++j) {
              unsigned char* where = argmax ? argmax + (out - y) + j * s.cout : nullptr;
              pool_window<fixed()>(rows + j * s.pool * width, used * width, width, s.pool, cols, out + j * s.cout,
                                   where);
            }
          });
        }
      }
    }
  });
}

/// From dy at the pooled output y: dx = beta_dx dx + ..., dw += ..., dbias += ...; each of the three may be null.
template <class T>
void conv2d_backward(thread_pool& pool, const conv_shape& s, const T* x, const T* w, bool relu, const T* y,
                     const unsigned char* argmax, const T* dy, T* dx, T beta_dx, T* dw, T* dbias, T* workspace) {
  using namespace detail;
  const conv_plan<T> plan("conv2d_backward", s, true);
  const conv_extents& e = plan.e;
  if (s.pool > 1 && !argmax && s.n * e.h_out * e.w_out * s.cout > 0) {
    throw error("conv2d_backward", "argmax when pool > 1", "null");
  }
  constexpr std::size_t width = tile_cols<T>;
  const std::size_t tap_row = s.kernel * s.cin, plane = plan.h_grad * plan.w_grad * width, line = plan.w_grad * width;
  T* const packed = plan.aligned(workspace);
  // dx is the convolution of the gradient, padded by kernel - 1 - pad, with the flipped and transposed weights,
  // packed as [panel of cin][panel of cout][tap][cout][cin]
  if (dx) {
    const std::size_t taps = s.kernel * s.kernel;
    pool.run(plan.in_panels, [&](std::size_t p) {
      const std::size_t cols = std::min(width, s.cin - p * width);
      T* to = packed + p * plan.out_panels * taps * width * width;
      std::fill_n(to, plan.out_panels * taps * width * width, T(0));
      for (std::size_t q = 0; q < plan.out_panels; ++q) {
        for (std::size_t t = 0; t < taps; ++t, to += width * width) {
          const T* from = w + ((taps - 1 - t) * s.cin + p * width) * s.cout + q * width;
          const view<T> transposed{from, 1, static_cast<std::ptrdiff_t>(s.cout)};
          pack_panel(std::min(width, s.cout - q * width), cols, width, transposed, to);
        }
      }
    });
  }
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
      for (std::size_t p = 0; p < plan.out_panels; ++p) {  // the gradient of the convolution, in panels of channels
        const std::size_t cols = std::min(width, s.cout - p * width);
        vec<T> total[2] = {};
        with_pool(s.pool, [&](auto fixed) {
          for (std::size_t i = 0; i < e.h_out; ++i) {
            T* g = grad + p * plane + (plan.border + i * s.pool) * line + plan.border * width;
            for (std::size_t j = 0; j < e.w_out; ++j, g += s.pool * width) {
              const std::size_t at = ((n * e.h_out + i) * e.w_out + j) * s.cout + p * width;
              unpool_window<fixed()>(dy + at, relu ? y + at : nullptr, argmax ? argmax + at : nullptr, cols, s.pool, g,
                                     line, total);
            }
          }
        });
        T sums[width];
        store(sums, total[0]);
        store(sums + lanes<T>, total[1]);
        for (std::size_t j = 0; j < cols; ++j) part_dbias[p * width + j] += sums[j];
      }
      if (dw) {
        const T* sample = pad_sample(s, e, x + n * s.h * s.w * s.cin, padded);
        for (std::size_t p = 0; p < plan.out_panels; ++p) {
          const std::size_t cols = std::min(width, s.cout - p * width);
          for (std::size_t t = 0; t < s.kernel; ++t) {
            each_tile(tap_row, [&](std::size_t first, std::size_t rows) {
              factors<T> f{sample + t * e.w_in * s.cin + first, static_cast<std::ptrdiff_t>(s.cin),
                           grad + p * plane + plan.border * (line + width), static_cast<std::ptrdiff_t>(width),
                           e.w_out * s.pool};
              f.segments = e.h_out * s.pool;
              f.a_step = static_cast<std::ptrdiff_t>(e.w_in * s.cin);
              f.b_step = static_cast<std::ptrdiff_t>(line);
              const target<T> to{n == begin ? T(0) : T(1), part_dw + (t * tap_row + first) * s.cout + p * width, s.cout,
                                 cols};
              tile_for<T, layout::across>(rows)(f, to);
            });
          }
        }
      }
      for (std::size_t p = 0; dx && p < plan.in_panels; ++p) {
        const std::size_t cols = std::min(width, s.cin - p * width);
        const image<T> in{grad + plan.shift * (line + width), s.w, width, line};
        factors<T> f{};
        f.b = packed + p * plan.out_panels * s.kernel * s.kernel * width * width;
        f.ldb = static_cast<std::ptrdiff_t>(width);
        f.k = s.kernel * width;
        f.segments = s.kernel;
        f.a_step = static_cast<std::ptrdiff_t>(line);
        f.b_step = static_cast<std::ptrdiff_t>(s.kernel * width * width);
        f.groups = plan.out_panels;
        f.a_group = static_cast<std::ptrdiff_t>(plane);
        image_tiles(in, s.h * s.w, f, target<T>{beta_dx, dx + n * s.h * s.w * s.cin + p * width, s.cin, cols});
      }
    }
  });
  const auto add = [&](T* to, std::size_t size, std::size_t offset) {  // the chunks' sums, in their order
    constexpr std::size_t piece = 2048;
    pool.run(plan.chunks && to ? (size + piece - 1) / piece : 0, [&](std::size_t task) {
      const std::size_t begin = task * piece, count = std::min(size - begin, piece);
      for (std::size_t c = 0; c < plan.chunks; ++c) {
        const T* from = parts + c * plan.chunk + offset + begin;
        for (std::size_t i = 0; i < count; ++i) to[begin + i] += from[i];
      }
    });
  };
  add(dw, s.kernel * tap_row * s.cout, plan.padded + plan.grad);
  add(dbias, s.cout, plan.padded + plan.grad + plan.dw);
}

}  // namespace modx::kernels
