// y = f_count(... f_1(x)): `count` modules of one spec, each with its own parameters.   Needs in == out.
#pragma once
#include <modx/concepts.hpp>
#include <vector>

namespace modx::module {

template <class Inner>
struct repeat {
  Inner inner{};
  std::size_t count = 1;
  bool operator==(const repeat&) const = default;

  extent output(extent in) const { return in; }

  template <Backend B>
  class bound {
    static_assert(check_module<Inner, B>());
    std::vector<accepted_t<Inner, B, Module<Inner, B>>> parts_;

   public:
    bound(builder<B>& b, const repeat& s, shape io) {
      expect_equal("repeat", "columns out (as many as come in)", io.in, io.out);
      parts_.reserve(s.count);
      for (std::size_t i = 0; i < s.count; ++i) {
        auto own = b.scope(i);
        parts_.emplace_back(own, s.inner, io);
      }
    }
    std::size_t size() const { return parts_.size(); }
    const auto& part(std::size_t i) const { return parts_.at(i); }
    var<B> forward(var<B> x) const { return forward_between(x, 0, parts_.size()); }
    /// Runs parts [from, to): a frozen prefix is run once, the rest at each step.  On a tape that records nothing, a
    /// part's memory is taken back as soon as its result is copied, unless a routing record points into it.
    var<B> forward_between(var<B> x, std::size_t from, std::size_t to) const {
      typename B::scalar* results[2] = {};
      for (std::size_t i = from; i < to; ++i) {
        auto& t = x.on();
        if (t.recording()) {
          x = parts_.at(i).forward(x);
          continue;
        }
        auto*& kept = results[i % 2];
        if (!kept) kept = t.template device<typename B::scalar>(x.size());
        const auto before = t.here();
        const auto records = t.records();
        const auto y = parts_.at(i).forward(x);
        if (t.records() == records && y.rows() == x.rows()) {
          t.backend().axpy(y.size(), 1, y.data(), 0, kept);
          t.rewind(before);
          x = t.tensor(kept, y.rows(), y.columns());
        } else {
          x = y, results[0] = results[1] = nullptr;
        }
      }
      return x;
    }
  };
};

}  // namespace modx::module
