// An image (height, width, channels) as a row of height * width * channels values.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

struct flatten {
  bool operator==(const flatten&) const = default;
  extent output(extent in) const { return in.size(); }

  template <Backend B>
  class bound {
   public:
    bound(builder<B>&, const flatten& s, shape io) { expect_width("flatten", io.out, s.output(io.in)); }
    var<B> forward(var<B> x) const { return ops::reshape(x, x.cols()); }
  };
};

}  // namespace modx::module
