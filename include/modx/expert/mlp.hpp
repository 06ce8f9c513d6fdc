// y_e = activation(x W1_e + b1_e) W2_e + b2_e.   W1_e: in x hidden, W2_e: hidden x out.
#pragma once
#include <modx/expert/bank.hpp>
#include <modx/module/mlp.hpp>

namespace modx::expert {

struct mlp {
  std::size_t hidden = 64;
  activation act = activation::relu;
  bool bias = true;
  bool operator==(const mlp&) const = default;

  template <Backend B>
  class bound : public module::mlp::bound<B> {
   public:
    bound(builder<B>& b, const mlp& s, shape io)
        : module::mlp::bound<B>(b, module::mlp{.hidden = s.hidden, .act = s.act, .bias = s.bias}, io) {}
  };

  template <Backend B>
  class bank {
    std::size_t count_;
    layer<B> up_, down_;
    activation act_;

   public:
    bank(builder<B>& b, const mlp& s, shape io, std::size_t experts)
        : count_(experts),
          up_(b, experts, "up.weight", s.bias ? "up.bias" : "", io.in, s.hidden),
          down_(b, experts, "down.weight", s.bias ? "down.bias" : "", s.hidden, io.out),
          act_(s.act) {}
    std::size_t size() const { return count_; }
    var<B> forward(tokens<B> in) const {
      const auto h = up_.forward(in.x, in.kind(), in.offsets, act_);
      return down_.forward(h, in.offsets ? in.kind() : ops::detail::grouping::blocks, in.offsets, activation::none);
    }
    var<B> one(std::size_t i, var<B> x) const { return down_.one(i, up_.one(i, x, act_), activation::none); }
  };
};

}  // namespace modx::expert
