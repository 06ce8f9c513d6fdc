// e experts of one kind: built-in experts run as grouped products, any other module is run expert by expert.
#pragma once
#include <modx/concepts.hpp>
#include <vector>

namespace modx::expert {

/// The tokens of a bank: every expert sees all of x, or expert g the rows [offsets[g], offsets[g + 1]) of sorted x.
template <class B>
struct tokens {
  var<B> x;
  const std::int32_t* offsets = nullptr;  // null: shared

  ops::detail::grouping kind() const {
    return offsets ? ops::detail::grouping::sorted : ops::detail::grouping::shared;
  }
};

/// One layer of a bank: e weights d x m (and biases), applied by group.
template <class B>
class layer {
  std::vector<parameter<B>*> weights_, biases_;

 public:
  layer(builder<B>& b, std::size_t experts, std::string_view weight, std::string_view bias, std::size_t in,
        std::size_t out)
      : layer(b, experts, weight, bias, in, out, init::fan_in(in)) {}
  /// Biases start as `of_bias` says.
  layer(builder<B>& b, std::size_t experts, std::string_view weight, std::string_view bias, std::size_t in,
        std::size_t out, init of_bias);
  /// All experts; `kind` says how x is laid out (ops/linear.hpp).
  var<B> forward(var<B> x, ops::detail::grouping kind, const std::int32_t* offsets, activation act) const;
  /// One expert.
  var<B> one(std::size_t i, var<B> x, activation act) const {
    return ops::linear(x, *weights_[i], biases_.empty() ? nullptr : biases_[i], act);
  }
};

template <class B>
layer<B>::layer(builder<B>& b, std::size_t experts, std::string_view weight, std::string_view bias, std::size_t in,
                std::size_t out, init of_bias) {
  for (std::size_t i = 0; i < experts; ++i) {
    auto own = b.scope(i);
    weights_.push_back(&own.make(weight, in, out, init::fan_in(in)));
    if (!bias.empty()) biases_.push_back(&own.make(bias, 1, out, of_bias));
  }
}
template <class B>
var<B> layer<B>::forward(var<B> x, ops::detail::grouping kind, const std::int32_t* offsets, activation act) const {
  auto& t = x.on();
  const std::size_t e = weights_.size();
  auto* w = t.template host<var<B>>(2 * e);
  for (std::size_t i = 0; i < e; ++i) {
    w[i] = t.use(*weights_[i]);
    if (!biases_.empty()) w[e + i] = t.use(*biases_[i]);
  }
  return ops::detail::grouped_linear<B>("expert", x, {e, w, biases_.empty() ? nullptr : w + e, kind, offsets}, act);
}

/// Any module as a bank: one bound module an expert.
template <class S, Backend B>
class lifted_bank {
  std::vector<bound_t<S, B>> experts_;

 public:
  lifted_bank(builder<B>& b, const S& s, shape io, std::size_t experts) {
    experts_.reserve(experts);
    for (std::size_t i = 0; i < experts; ++i) {
      auto own = b.scope(i);
      experts_.emplace_back(own, s, io);
    }
  }
  std::size_t size() const { return experts_.size(); }
  var<B> forward(tokens<B> in) const {
    auto* parts = in.x.on().template host<var<B>>(size());
    for (std::size_t i = 0; i < size(); ++i) {
      var<B> x = in.x;
      if (in.offsets)
        x = ops::rows(x, std::size_t(in.offsets[i]), std::size_t(in.offsets[i + 1] - in.offsets[i]));
      parts[i] = experts_[i].forward(x);
    }
    const std::span<const var<B>> all(parts, size());
    return in.offsets ? ops::concat_rows(all) : ops::stack(all).y;
  }
  var<B> one(std::size_t i, var<B> x) const { return experts_[i].forward(x); }
};

template <class S, class B>
struct bank_of {
  using type = lifted_bank<S, B>;
};
template <class S, class B>
  requires HasBank<S, B>
struct bank_of<S, B> {
  using type = typename S::template bank<B>;
};
/// The bank that runs experts of spec S: forward(tokens) -> n x (e m) or, sorted, (n k) x m; one(i, x) -> n x m.
template <class S, class B>
using bank_t = typename bank_of<S, B>::type;


template <class S, class B> concept Banks =
    requires(builder<B>& b, const S& s, shape io, std::size_t e, const bank_t<S, B>& bank, tokens<B> in, var<B> x) {
      bank_t<S, B>(b, s, io, e);
      { bank.size() } -> std::convertible_to<std::size_t>;
      { bank.forward(in) } -> std::same_as<var<B>>;
      { bank.one(e, x) } -> std::same_as<var<B>>;
    };
template <class S, class B>
inline constexpr bool fits_bank = [] {
  if constexpr (Module<S, B>) return Banks<S, B>;
  return false;
}();
template <class S, class B>
consteval bool check_expert() {
  static_assert(check_module<S, B>());
  if constexpr (Module<S, B>)
    static_assert(Banks<S, B>, "modx: an Expert's  template <modx::Backend B> class bank  needs  "
                               "bank(modx::builder<B>&, const Spec&, modx::shape, std::size_t experts), size(), "
                               "forward(modx::expert::tokens<B>) and one(std::size_t, modx::var<B>)");
  return true;
}

}  // namespace modx::expert
