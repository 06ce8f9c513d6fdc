// p = 1 / e: the one to copy, and the baseline.
#pragma once
#include <modx/concepts.hpp>

namespace modx::router {

struct uniform {
  bool operator==(const uniform&) const = default;

  template <Backend B>
  class bound {
    std::size_t experts_;

   public:
    bound(builder<B>&, const uniform&, shape io) : experts_(io.out) {
      expect_positive("router::uniform", "experts", static_cast<long long>(experts_));
    }
    dense_routing<B> route(var<B> x) const {
      using T = typename B::scalar;
      auto& t = x.on();
      return {{t.constant(x.rows(), experts_, 0)}, {t.constant(x.rows(), experts_, T(1) / T(experts_))}};
    }
  };
};

}  // namespace modx::router
