// y = f_k(... f_2(f_1(x))).
#pragma once
#include <modx/concepts.hpp>
#include <tuple>

namespace modx::module {

/// Modules one after the other; each needs an own output width but the last, which may take the shape's.
template <class... M>
struct sequential {
  std::tuple<M...> parts;

  sequential() = default;
  explicit sequential(M... m) requires(sizeof...(M) > 0) : parts(std::move(m)...) {}
  bool operator==(const sequential&) const = default;

  extent output(extent in) const {
    std::apply([&](const auto&... m) { ((in = output_extent(m, in)), ...); }, parts);
    return in;
  }

  template <Backend B>
  class bound {
    static_assert((check_module<M, B>() && ...));
    template <class S>
    using part_t = accepted_t<S, B, Module<S, B>>;
    std::tuple<part_t<M>...> parts_;

    template <std::size_t I>
    static auto make(builder<B>& b, const sequential& s, extent& in, extent out) {
      const auto& part = std::get<I>(s.parts);
      extent to = output_extent(part, in);
      if (to.size() == 0 && I + 1 == sizeof...(M)) to = out;
      if (to.size() == 0)
        throw error("sequential, part " + std::to_string(I), "an output width of its own (linear{.out = ...})", "0");
      if (I + 1 == sizeof...(M) && out.size() && out.size() != to.size())
        throw error("sequential, last part", std::to_string(out.size()) + " columns out", std::to_string(to.size()));
      auto inner = b.scope(I);
      const shape io{in, to};
      in = to;
      return part_t<std::tuple_element_t<I, std::tuple<M...>>>(inner, part, io);
    }
    template <std::size_t... I>
    static auto make_all([[maybe_unused]] builder<B>& b, [[maybe_unused]] const sequential& s, shape io,
                         std::index_sequence<I...>) {
      [[maybe_unused]] extent in = io.in;
      if (sizeof...(M) == 0) expect_equal("sequential without parts", "columns out", io.in, io.out);
      return std::tuple<part_t<M>...>{make<I>(b, s, in, io.out)...};  // braces: left to right
    }

   public:
    bound(builder<B>& b, const sequential& s, shape io)
        : parts_(make_all(b, s, io, std::index_sequence_for<M...>{})) {}

    /// Runs all parts.
    var<B> forward(var<B> x) const { return forward_between<0, sizeof...(M)>(x); }
    /// Runs parts [From, To): a frozen prefix is run once, the rest at each step.
    template <std::size_t From, std::size_t To>
    var<B> forward_between(var<B> x) const {
      if constexpr (From == To) {
        return x;
      } else {
        return forward_between<From + 1, To>(std::get<From>(parts_).forward(x));
      }
    }
    template <std::size_t I>
    const auto& part() const { return std::get<I>(parts_); }
  };
};

}  // namespace modx::module
