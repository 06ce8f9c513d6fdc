// How a convolution is cut into chunks of samples, panels of channels and tiles of pixels, and its workspace.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "modx/backend/cpu/conv_shape.hpp"
#include "modx/backend/cpu/tile.hpp"

namespace modx::kernels {

namespace detail {

/// Samples are split into this many chunks at most, whatever the number of threads: partial sums are theirs.
inline constexpr std::size_t conv_chunks = 32;

/// The workspace of one call, in elements: the packed weights, then `chunk` for each chunk of samples.
template <class T>
struct conv_plan {
  static constexpr std::size_t width = tile_cols<T>;
  conv_extents e;
  std::size_t chunks, in_panels, out_panels;  // panels of cin, of cout
  // the gradient of the convolution, in panels inside a border of kernel - 1 - pad zeros (or started at
  // shift, where pad is larger): a pixel is width elements, a row of pixels line, a panel plane
  std::size_t border, shift, line, plane;
  std::size_t weights;                          // first part: the packed weights
  std::size_t padded, buffer, grad, dw, dbias;  // parts of a chunk: padded sample, then what its call needs
  std::size_t chunk, total;

  conv_plan(const char* where, const conv_shape& s, bool backward) : e(extents(where, s)) {
    const std::size_t taps = s.kernel * s.kernel;
    chunks = std::min(s.n, conv_chunks);
    in_panels = (s.cin + width - 1) / width;
    out_panels = (s.cout + width - 1) / width;
    border = s.pad < s.kernel ? s.kernel - 1 - s.pad : 0;
    shift = s.pad < s.kernel ? 0 : s.pad - (s.kernel - 1);
    line = (e.w_conv + 2 * border) * width;
    plane = (e.h_conv + 2 * border) * line;
    weights = backward ? in_panels * out_panels * taps * width * width : out_panels * taps * s.cin * width;
    padded = s.pad ? whole(e.h_in * e.w_in * s.cin) : 0;
    buffer = s.pool > 1 ? s.pool * e.w_out * s.pool * width : 0;
    grad = out_panels * plane;
    dw = whole(taps * s.cin * s.cout);
    dbias = whole(s.cout);
    chunk = padded + (backward ? grad + dw + dbias : buffer);
    total = weights + chunks * chunk + 64 / sizeof(T);
  }

  /// The first 64-byte boundary in the workspace.
  static T* aligned(T* workspace) {
    const auto address = reinterpret_cast<std::uintptr_t>(workspace);
    return workspace + (64 - address % 64) % 64 / sizeof(T);
  }
  std::size_t first_sample(const conv_shape& s, std::size_t c) const { return c * s.n / chunks; }

 private:
  static std::size_t whole(std::size_t n) { return (n + width - 1) / width * width; }
};

/// The sample inside zeros, in padded (whose border is zero already), or itself when there is no padding.
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

/// The target from the sums f at the first count pixels; tiles run on over the ends of rows.
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

}  // namespace modx::kernels
