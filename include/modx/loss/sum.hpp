// (a + b)(y, t) = a(y, t) + b(y, t): losses add up with operator+.
#pragma once
#include <modx/concepts.hpp>

namespace modx::loss {

/// Losses derive from this empty tag so that + finds them (an aggregate says  using adds_up = void;  instead).
struct term {
  friend bool operator==(const term&, const term&) = default;
};

template <class A, class C>
struct sum : term {
  A first{};
  C second{};
  sum() = default;
  sum(A a, C c) : first(a), second(c) {}
  bool operator==(const sum&) const = default;

  template <Backend B, class Target>
    requires Loss<A, B, Target> && Loss<C, B, Target>
  var<B> operator()(var<B> y, const Target& t) const {
    return first(y, t) + second(y, t);
  }
};

template <class L> concept Term = std::derived_from<L, term> || requires { typename L::adds_up; };
template <Term A, Term C>
sum<A, C> operator+(A a, C c) { return {a, c}; }

}  // namespace modx::loss
