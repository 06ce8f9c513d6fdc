// y_e = x W_e + b_e.   W_e: in x out.
#pragma once
#include <modx/expert/bank.hpp>
#include <modx/module/linear.hpp>

namespace modx::expert {

struct linear {
  bool bias = true;
  bool operator==(const linear&) const = default;

  template <Backend B>
  class bound : public module::linear::bound<B> {
   public:
    bound(builder<B>& b, const linear& s, shape io)
        : module::linear::bound<B>(b, module::linear{.out = io.out, .bias = s.bias}, io) {}
  };

  template <Backend B>
  class bank {
    std::size_t count_;
    layer<B> layer_;

   public:
    bank(builder<B>& b, const linear& s, shape io, std::size_t experts)
        : count_(experts), layer_(b, experts, "weight", s.bias ? "bias" : "", io.in, io.out) {}
    std::size_t size() const { return count_; }
    var<B> forward(tokens<B> in) const { return layer_.forward(in.x, in.kind(), in.offsets, activation::none); }
    var<B> one(std::size_t i, var<B> x) const { return layer_.one(i, x, activation::none); }
  };
};

}  // namespace modx::expert
