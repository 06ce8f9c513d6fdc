// y = x + inner(x).   Needs in == out.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

template <class Inner>
struct residual {
  Inner inner{};
  bool operator==(const residual&) const = default;
  extent output(extent in) const { return in; }

  template <Backend B>
  class bound {
    static_assert(check_module<Inner, B>());
    accepted_t<Inner, B, Module<Inner, B>> inner_;

    static shape checked(shape io) {
      expect_equal("residual", "columns out (as many as come in)", io.in, io.out);
      return io;
    }

   public:
    bound(builder<B>& b, const residual& s, shape io) : inner_(b, s.inner, checked(io)) {}
    var<B> forward(var<B> x) const { return ops::add(x, ops::reshape(inner_.forward(x), x.columns())); }
  };
};

}  // namespace modx::module
