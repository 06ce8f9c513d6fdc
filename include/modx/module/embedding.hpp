// y_t = E[x_t] (+ P[place of t in its sequence]).   x: n x 1 ids as numbers, E: vocabulary x out, P:
// positions x out.
#pragma once
#include <modx/concepts.hpp>

namespace modx::module {

/// Lookup in a learned table, with learned absolute positions where `positions` > 0; N(0, 0.02^2) as in
/// GPT-2.
struct embedding {
  std::size_t vocabulary = 0;
  std::size_t out = 0;        // 0: what the surrounding shape says
  std::size_t positions = 0;  // longest sequence; 0: no positions
  bool operator==(const embedding&) const = default;

  extent output(extent) const { return out; }

  template <Backend B>
  class bound {
    parameter<B>*table_, *places_;

   public:
    bound(builder<B>& b, const embedding& s, shape io)
        : table_(&b.make("weight", s.vocabulary, io.out, init::normal(0.02))),
          places_(s.positions ? &b.make("position", s.positions, io.out, init::normal(0.02)) : nullptr) {
      expect_width("embedding", io.out, s.out);
      expect_equal("embedding", "column in (an id)", 1, io.in.size());
    }
    var<B> table(tape<B>& t) const { return t.use(*table_); }
    var<B> forward(var<B> x) const {
      auto& t = x.on();
      const auto y = ops::take_rows(t.use(*table_), ops::ids_of(x), x.rows());
      if (!places_) return y;
      const auto& s = ops::detail::expect_sequences("embedding", x);
      if (s.longest > places_->rows())
        throw error("embedding", "sequences of at most " + std::to_string(places_->rows()) + " tokens",
                    std::to_string(s.longest));
      return ops::add(y, ops::take_rows(t.use(*places_), s.position, x.rows()));
    }
  };
};

}  // namespace modx::module
