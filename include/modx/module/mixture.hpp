// y = combine(base(x), couple(experts(x)), route(x)): every system of the library is one of these.
#pragma once
#include <modx/combiner/softmax.hpp>
#include <modx/coupling/none.hpp>
#include <modx/expert/bank.hpp>
#include <modx/perturbation.hpp>

namespace modx::module {

/// A coupling that says how much of each expert is there.  (A requires-expression inside bound<B> ends nvcc 13.)
template <class C> concept HasPresence = requires(const C& c) { c.presence(); };

/// No base: the combiner has the experts only.
struct no_base {
  bool operator==(const no_base&) const = default;
};

/// A mixture of n_experts experts.  Dense routers run every expert for every token; top-k routers run the awake ones
/// only, through a counting permutation and grouped products, and combine in slot order.
template <class Experts, class Router, class Combiner = combiner::softmax, class Base = no_base,
          class Coupling = coupling::none>
struct mixture {
  Base base{};
  Experts experts{};
  Router router{};
  Combiner combiner{};
  Coupling coupling{};
  std::size_t n_experts = 4;
  std::size_t out = 0;  // 0: the base's width, else what the surrounding shape says
  bool operator==(const mixture&) const = default;

  extent output(extent in) const { return out ? extent(out) : output_extent(base, in); }

  template <Backend B>
  class bound {
    static constexpr bool has_base = !std::same_as<Base, no_base>;
    static_assert(expert::check_expert<Experts, B>());
    static_assert(check_router<Router, B>());
    using router_type = accepted_t<Router, B, modx::Router<Router, B>>;
    using bank_type = std::conditional_t<expert::fits_bank<Experts, B>, expert::bank_t<Experts, B>, refused<B>>;
    using routing = decltype(std::declval<const router_type&>().route(std::declval<var<B>>()));
    static constexpr bool dense = std::same_as<routing, dense_routing<B>>;
    using y_type = std::conditional_t<dense, outputs<B>, slot_outputs<B>>;
    static_assert(check_coupling<Coupling, B, y_type>());
    static_assert(check_combiner<Combiner, B, y_type, routing, has_base>());
    using coupling_type = accepted_t<Coupling, B, BindsToExperts<Coupling, B> && Couples<Coupling, B, y_type>>;
    using combiner_type = combiner_t<Combiner, B>;
    static constexpr bool has_ghosts = HasPresence<coupling_type>;
    struct nothing {
      nothing(builder<B>&&, const no_base&, shape) {}
    };
    template <class S, bool>
    struct base_of { using type = nothing; };
    template <class S>
    struct base_of<S, true> {
      static_assert(check_module<S, B>());
      using base_type = accepted_t<S, B, Module<S, B>>;
      struct type : base_type {
        type(builder<B>&& b, const S& s, shape io) : base_type(b, s, io) {}
      };
    };

    typename base_of<Base, has_base>::type base_;
    bank_type experts_;
    router_type router_;
    coupling_type coupling_;
    combiner_type combiner_;

    template <class R, class... A>
    static R make(builder<B> b, const A&... a) { return R(b, a...); }
    static combiner_type make_combiner(builder<B> b, const Combiner& c, std::size_t width) {
      if constexpr (BindsToWidth<Combiner, B>) {
        return combiner_type(b, c, width);
      } else {
        return c;
      }
    }
    static shape checked(shape io, std::size_t e, std::size_t out) {
      expect_positive("mixture", "experts", static_cast<long long>(e));
      if (e > (std::size_t(1) << 20)) throw error("mixture", "at most 2^20 experts", std::to_string(e));
      expect_width("mixture", io.out, out);
      return io;
    }

   public:
    bound(builder<B>& b, const mixture& s, shape io)
        : base_(b.scope("base"), s.base, checked(io, s.n_experts, s.out)),
          experts_(make<bank_type>(b.scope("experts"), s.experts, io, s.n_experts + added_experts(s.coupling))),
          router_(make<router_type>(b.scope("router"), s.router, shape{io.in, experts()})),
          coupling_(make<coupling_type>(b.scope("coupling"), s.coupling, experts(), io.out.size())),
          combiner_(make_combiner(b.scope("combiner"), s.combiner, io.out.size())) {}

    /// With the ghosts that the coupling adds.
    std::size_t experts() const { return experts_.size(); }
    /// Output of the base alone.
    var<B> base(var<B> x) const requires(has_base) { return base_.forward(x); }
    /// Output of one expert alone, n x m.
    var<B> expert(std::size_t i, var<B> x) const {
      if (i >= experts()) throw error("mixture::expert", "an expert below " + std::to_string(experts()), std::to_string(i));
      return experts_.one(i, x);
    }
    /// In full precision: a rounded score may choose another expert.
    routing routed_exactly(var<B> x) const {
      struct keep {
        bool& flag;
        bool before;
        ~keep() { flag = before; }
      } const restore{x.on().context.exact, x.on().context.exact};
      x.on().context.exact = true;
      return router_.route(x);
    }
    /// The router's word on x (perturbed when the step's context asks for it), remembered for losses and analysis.
    routing route(var<B> x) const {
      auto r = routed_exactly(x);
      if constexpr (has_ghosts) {
        if (const auto* p = x.on().context.perturbation; p && p->active())
          throw error("mixture under routing noise", "a mixture without ghosts", "one with");
        auto& t = x.on();
        const auto here = t.input(coupling_.presence(), 1, experts());
        r.weights = ops::normalize_rows(r.weights * ops::add_row(t.constant(x.rows(), experts(), 0), here));
      } else if constexpr (dense) {
        r = perturbed(r);
      } else if (const auto* p = x.on().context.perturbation; p && p->active()) {
        throw error("mixture under routing noise", "a dense router", "top-k");  // better than no noise
      }
      remember(r);
      return r;
    }
    var<B> forward(var<B> x) const {
      x = ops::reshape(x, x.cols());
      const auto r = route(x);
      y_type y;
      if constexpr (dense) {
        y = {experts_.forward({x, nullptr}), experts()};
        if constexpr (has_ghosts) y.presence = coupling_.presence(), coupling_.measure(x, y);
        remember(experts_, x, y, r.weights);
      } else {
        y = {experts_.forward({ops::permute_rows(x, r.order), r.order.offsets}), r.order};
      }
      y = coupling_.couple(y);
      if constexpr (has_ghosts) y.presence = coupling_.presence();
      if constexpr (CombinesDomains<Combiner, B, y_type>) {
        return combiner_.combine(y, domains("combiner", x));
      } else if constexpr (has_base && CombinesBase<Combiner, B, y_type, routing>) {
        return combiner_.combine(base_.forward(x), y, r);
      } else if constexpr (!has_base && CombinesOutputs<Combiner, B, y_type, routing>) {
        return combiner_.combine(y, r);
      } else {
        return x;  // refused above
      }
    }
  };
};

}  // namespace modx::module
