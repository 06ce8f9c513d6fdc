// y[i, j, c] = max over the size x size window at (i size, j size) of x[., ., c].
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

struct max_pool {
  std::size_t size = 2;
  bool operator==(const max_pool&) const = default;

  extent output(extent in) const {
    expect_positive("max_pool", "size", static_cast<long long>(size));
    return {in.height / size, in.width / size, in.channels};
  }

  template <Backend B>
  class bound {
    std::size_t size_;

   public:
    bound(builder<B>&, const max_pool& s, shape io) : size_(s.size) {
      expect_width("max_pool", io.out, s.output(io.in));
    }
    var<B> forward(var<B> x) const { return ops::max_pool(x, size_); }
  };
};

}  // namespace modx::module
