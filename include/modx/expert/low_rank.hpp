// y_e = activation(x U_e) V_e, no biases.   U_e: in x rank, V_e: rank x out.
// RED's paper (section 4.5) writes V sigma(U h); rank < in out / (in + out) makes it smaller than a linear expert.
#pragma once
#include <modx/expert/bank.hpp>

namespace modx::expert {

struct low_rank {
  std::size_t rank = 16;
  activation act = activation::relu;
  bool operator==(const low_rank&) const = default;

  template <Backend B>
  class bound {
    parameter<B>*u_, *v_;
    activation act_;

   public:
    bound(builder<B>& b, const low_rank& s, shape io)
        : u_(&b.make("u", io.in, s.rank, init::fan_in(io.in))),
          v_(&b.make("v", s.rank, io.out, init::fan_in(s.rank))),
          act_(s.act) {}
    var<B> forward(var<B> x) const { return ops::linear(ops::linear(x, *u_, nullptr, act_), *v_, nullptr); }
  };

  template <Backend B>
  class bank {
    std::size_t count_;
    layer<B> u_, v_;
    activation act_;

   public:
    bank(builder<B>& b, const low_rank& s, shape io, std::size_t experts)
        : count_(experts), u_(b, experts, "u", "", io.in, s.rank), v_(b, experts, "v", "", s.rank, io.out),
          act_(s.act) {}
    std::size_t size() const { return count_; }
    var<B> forward(tokens<B> in) const {
      const auto h = u_.forward(in.x, in.kind(), in.offsets, act_);
      return v_.forward(h, in.offsets ? in.kind() : ops::detail::grouping::blocks, in.offsets, activation::none);
    }
    var<B> one(std::size_t i, var<B> x) const { return v_.one(i, u_.one(i, x, act_), activation::none); }
  };
};

}  // namespace modx::expert
