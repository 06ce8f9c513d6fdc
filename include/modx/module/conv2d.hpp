// y = max_pool(relu(x * W + b)), one fused operation.   x: n x (h, w, cin), W: (kernel^2 cin) x channels.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

/// 2-D convolution, stride 1, zero padding; pool > 1 fuses max-pooling with window and stride `pool`.
struct conv2d {
  std::size_t channels = 16;
  std::size_t kernel = 3;
  std::size_t padding = 0;
  bool relu = false;
  std::size_t pool = 1;
  bool operator==(const conv2d&) const = default;

  extent output(extent in) const {
    expect_positive("conv2d", "kernel", static_cast<long long>(kernel));
    expect_positive("conv2d", "pool", static_cast<long long>(pool));
    if (in.height + 2 * padding < kernel || in.width + 2 * padding < kernel)
      throw error("conv2d", "an image of at least " + std::to_string(kernel) + " x " + std::to_string(kernel) +
                                " with padding " + std::to_string(padding), to_string(in));
    return {(in.height + 2 * padding + 1 - kernel) / pool, (in.width + 2 * padding + 1 - kernel) / pool, channels};
  }

  template <Backend B>
  class bound {
    parameter<B>*weight_, *bias_;
    std::size_t kernel_, padding_, pool_;
    bool relu_;

   public:
    bound(builder<B>& b, const conv2d& s, shape io)
        : weight_(&b.make("weight", s.kernel * s.kernel * io.in.channels, s.channels,
                          init::fan_in(s.kernel * s.kernel * io.in.channels))),
          bias_(&b.make("bias", 1, s.channels, init::fan_in(s.kernel * s.kernel * io.in.channels))),
          kernel_(s.kernel), padding_(s.padding), pool_(s.pool), relu_(s.relu) {
      expect_width("conv2d", io.out, s.output(io.in));
    }
    var<B> forward(var<B> x) const {
      auto& t = x.on();
      return ops::conv2d(x, t.use(*weight_), t.use(*bias_), kernel_, padding_, relu_, pool_);
    }
  };
};

}  // namespace modx::module
