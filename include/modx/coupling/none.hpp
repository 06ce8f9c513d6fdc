// z_e = y_e: every expert for itself.  The one to copy.
#pragma once
#include <modx/concepts.hpp>

namespace modx::coupling {

struct none {
  bool operator==(const none&) const = default;

  template <Backend B>
  class bound {
   public:
    bound(builder<B>&, const none&, std::size_t /*experts*/, std::size_t /*width*/) {}
    template <class Y>
    Y couple(const Y& y) const { return y; }
    outputs<B> couple(const outputs<B>& y, std::span<const typename B::scalar> /*presence*/) const { return y; }
  };
};

}  // namespace modx::coupling
