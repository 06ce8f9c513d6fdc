// The sizes of a convolution with pooling, channels last, and what follows from them.
#pragma once
#include <cstddef>
#include <string>

#include "modx/error.hpp"

namespace modx::kernels {

/// x: n x h x w x cin, weights: (kernel * kernel * cin) x cout with taps (dy, dx) outermost, stride 1, zeros
/// around x; y: n x ho / pool x wo / pool x cout, the window of the pooling being its stride.
struct conv_shape {
  std::size_t n = 0, h = 0, w = 0, cin = 0, cout = 0, kernel = 1, pad = 0, pool = 1;
};

namespace detail {

/// Extents of the padded input, of the convolution and of the pooled output.
struct conv_extents {
  std::size_t h_in, w_in, h_conv, w_conv, h_out, w_out;
};

/// Throws error for a kernel or pool that makes no sense (a winner's place must fit in a byte).
inline conv_extents extents(const char* where, const conv_shape& s) {
  const auto check = [where](bool ok, const char* expected, std::size_t found) {
    if (!ok) throw error(where, expected, std::to_string(found));
  };
  check(s.kernel >= 1, "kernel >= 1", s.kernel);
  check(s.pool >= 1 && s.pool <= 16, "pool in 1..16", s.pool);
  const std::size_t h = s.h + 2 * s.pad, w = s.w + 2 * s.pad;
  check(s.kernel <= h && s.kernel <= w, "kernel <= h + 2 pad and w + 2 pad", s.kernel);
  const std::size_t ho = h - s.kernel + 1, wo = w - s.kernel + 1;
  return {h, w, ho, wo, ho / s.pool, wo / s.pool};
}

}  // namespace detail

}  // namespace modx::kernels
