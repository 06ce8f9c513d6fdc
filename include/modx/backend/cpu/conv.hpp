// y = pool(relu(x * w + bias)): convolution of channels-last images as shifted products of register tiles.
#pragma once
#include <algorithm>
#include <cstddef>

#include "modx/backend/cpu/conv_backward.hpp"
#include "modx/backend/cpu/conv_plan.hpp"
#include "modx/backend/cpu/conv_shape.hpp"
#include "modx/backend/cpu/max_pool.hpp"
#include "modx/backend/cpu/pack.hpp"
#include "modx/backend/cpu/thread_pool.hpp"
#include "modx/backend/cpu/tile.hpp"

namespace modx::kernels {

/// Elements of workspace for conv2d_forward or conv2d_backward, the same for any number of threads.
template <class T>
std::size_t conv_workspace(const conv_shape& s, bool backward) {
  return detail::conv_plan<T>("conv2d", s, backward).total;
}

/// y = pool(relu?(x * w + bias)); argmax (may be null, like bias): each winner's place in its window.
template <class T>
void conv2d_forward(thread_pool& pool, const conv_shape& s, const T* x, const T* w, const T* bias, bool relu,
                    T* y, unsigned char* argmax, T* workspace) {
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
        const std::size_t band = s.pool > 1 ? 1 : e.h_out;  // rows of y at a time
        for (std::size_t i = 0; i < e.h_out; i += band) {
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
              pool_window<fixed()>(rows + j * s.pool * width, used * width, width, s.pool, cols,
                                   out + j * s.cout, where);
            }
          });
        }
      }
    }
  });
}

}  // namespace modx::kernels
