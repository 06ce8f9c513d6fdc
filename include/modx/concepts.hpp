// Every contract of the library, on one page.
//
// A policy is two types.  The *spec* (modx::router::top_k{.k = 2}) is a plain aggregate of hyper-parameters: copyable,
// comparable, known before any backend is.  Its nested template bound<Backend> is the policy at work: it owns
// parameters.  modx::build(backend, spec, shape) turns one into the other.
//
// House rule: one requirement per concept, one sentence per requirement in check_*() (nvcc names only the concept).
#pragma once
#include <concepts>
#include <modx/ops.hpp>
#include <modx/parameter.hpp>
#include <modx/routing.hpp>

namespace modx {

/// A spec at work on a backend.
template <class S, class B>
using bound_t = typename S::template bound<B>;

// ---- Backend: docs/backends.md lists its operations ---------------------------------------------------------------
template <class B> concept HasScalar = std::floating_point<typename B::scalar>;
template <class B> concept Allocates = requires(B& b, void* p, std::size_t n) {
  { b.allocate(n) } -> std::same_as<void*>;
  b.deallocate(p, n);
};
template <class B> concept Multiplies = requires(B& b, const gemm_task<typename B::scalar>& t) { b.gemm(t); };
template <class B> concept Backend = HasScalar<B> && Allocates<B> && Multiplies<B>;

// ---- Module: tokens n x in to tokens n x out -----------------------------------------------------------------------
template <class S, class B> concept BindsToShape =
    requires(builder<B>& b, const S& s, shape io) { bound_t<S, B>(b, s, io); };
template <class S, class B> concept Forwards = requires(const bound_t<S, B>& m, var<B> x) {
  { m.forward(x) } -> std::same_as<var<B>>;
};
template <class S, class B> concept Module = std::regular<S> && BindsToShape<S, B> && Forwards<S, B>;

/// Extent that a module makes of `in`; 0 when it takes what the surrounding shape says.
template <class S>
extent output_extent(const S& s, extent in) {
  if constexpr (requires { { s.output(in) } -> std::convertible_to<extent>; }) return s.output(in);
  return extent(0);
}

// ---- Expert: a module; one that brings its own bank<Backend> runs e of them as grouped products ---------------------
template <class S, class B> concept HasBank = requires { typename S::template bank<B>; };
template <class S, class B> concept Expert = Module<S, B>;

// ---- Router: tokens n x d to a routing over e experts ---------------------------------------------------------------
template <class R, class B> concept IsRouting = std::same_as<R, dense_routing<B>> || std::same_as<R, top_k_routing<B>>;
template <class S, class B> concept Routes = requires(const bound_t<S, B>& r, var<B> x) {
  { r.route(x) } -> IsRouting<B>;
};
template <class S, class B> concept Router = std::regular<S> && BindsToShape<S, B> && Routes<S, B>;
template <class S, class B>
using routing_t = decltype(std::declval<const bound_t<S, B>&>().route(std::declval<var<B>>()));
/// What the experts of a mixture with this router produce.
template <class S, class B>
using outputs_t = std::conditional_t<std::same_as<routing_t<S, B>, dense_routing<B>>, outputs<B>, slot_outputs<B>>;

// ---- Combiner: what it takes says what it needs; a plain value, or a spec whose bound<Backend> has parameters --------
template <class C, class B> concept BindsToWidth =
    requires(builder<B>& b, const C& c, std::size_t width) { bound_t<C, B>(b, c, width); };
namespace detail {
template <class C, class B>
struct combiner_at_work {
  using type = C;
};
template <class C, class B>
  requires BindsToWidth<C, B>
struct combiner_at_work<C, B> {
  using type = bound_t<C, B>;
};
}  // namespace detail
/// What combines: the combiner itself, or its bound<B>.
template <class C, class B>
using combiner_t = typename detail::combiner_at_work<C, B>::type;
template <class C, class B, class Y, class R> concept CombinesBase =
    requires(const combiner_t<C, B>& c, var<B> base, const Y& y, const R& r) { { c.combine(base, y, r) } -> std::same_as<var<B>>; };
template <class C, class B, class Y, class R> concept CombinesOutputs =
    requires(const combiner_t<C, B>& c, const Y& y, const R& r) { { c.combine(y, r) } -> std::same_as<var<B>>; };
template <class C, class B, class Y> concept CombinesDomains =
    requires(const combiner_t<C, B>& c, const Y& y, domain_ids d) { { c.combine(y, d) } -> std::same_as<var<B>>; };
template <class C, class B, class Y, class R> concept Combiner =
    std::regular<C> && (CombinesBase<C, B, Y, R> || CombinesOutputs<C, B, Y, R> || CombinesDomains<C, B, Y>);

// ---- Coupling: n x e x m to n x e x m, per token -------------------------------------------------------------------
template <class S, class B> concept BindsToExperts =
    requires(builder<B>& b, const S& s, std::size_t experts, std::size_t width) { bound_t<S, B>(b, s, experts, width); };
template <class S, class B, class Y> concept Couples = requires(const bound_t<S, B>& c, const Y& y) {
  { c.couple(y) } -> std::same_as<Y>;
};
/// Knows of experts that are not there, or partly: what coupling::ghost needs of what it wraps.
template <class S, class B> concept CouplesPresent =
    requires(const bound_t<S, B>& c, const outputs<B>& y, std::span<const typename B::scalar> presence) {
  { c.couple(y, presence) } -> std::same_as<outputs<B>>;
};
/// Experts that a coupling adds to those of a mixture.
template <class S>
std::size_t added_experts(const S& s) {
  if constexpr (requires { { s.added_experts() } -> std::convertible_to<std::size_t>; }) return s.added_experts();
  return 0;
}
template <class S, class B> concept CouplingGraph = std::regular<S> && BindsToExperts<S, B> && Couples<S, B, outputs<B>>;

// ---- Loss, Optimizer, Schedule --------------------------------------------------------------------------------------
/// Class ids of a batch on the device.
struct labels {
  const std::int32_t* id = nullptr;
  std::size_t count = 0;
};
template <class L, class B, class Target> concept Loss = requires(const L l, var<B> y, const Target& t) {
  { l(y, t) } -> std::same_as<var<B>>;
};
template <class O, class B> concept Optimizer =
    requires(const O o, std::span<parameter<B>* const> list, double scale) { o.update(list, scale, scale); };
template <class S> concept Schedule = std::regular<S> && requires(const S s, std::uint64_t step) {
  { s(step) } -> std::convertible_to<double>;
};

// ---- Model: what build() makes; a forward pass of it may be the user's function ------------------------------------
template <class M> concept IsModel = requires(M& m) {
  typename M::backend_type;
  m.tape_of_step();
  m.bound();
  m.parameters();
};
template <class F, class M> concept RunsForward =
    requires(F& f, M& m, var<typename M::backend_type> x) { { f(m.bound(), x) } -> std::derived_from<decltype(x)>; };

// ---- Data: rows that stages, evaluations and map_rows take their batches from ---------------------------------------
template <class D, class B> concept GivesBatches = requires(const D& d, tape<B>& t, ids id) {
  { d.size() } -> std::convertible_to<std::size_t>;
  d.expect_rows("", id);
  { d.batch(t, id) } -> std::same_as<var<B>>;
};
/// Whose batches have one shape and can be made of ids on the device: what recorded steps need.
template <class D, class B> concept GivesBatchesOnDevice =
    GivesBatches<D, B> && requires(const D& d, tape<B>& t, const std::int32_t* id) { { d.batch(t, id, id, 1) } -> std::same_as<var<B>>; };

// ---- After a refusal ------------------------------------------------------------------------------------------------
/// Stands where a policy would that a check_*() has refused: its sentence is then the only error.
template <class B>
struct refused {
  refused() = default;
  template <class... A>
  explicit refused(const A&...) {}
  std::size_t size() const { return 0; }
  template <class X>
  var<B> forward(X) const { return {}; }
  var<B> one(std::size_t, var<B> x) const { return x; }
  dense_routing<B> route(var<B>) const { return {}; }
  template <class Y>
  Y couple(const Y& y) const { return y; }
  template <class Y, class A>
  Y couple(const Y& y, const A&) const { return y; }
};
namespace detail {
template <class S, class B, bool fine>
struct accepted {
  using type = bound_t<S, B>;
};
template <class S, class B>
struct accepted<S, B, false> {
  using type = refused<B>;
};
}  // namespace detail
/// bound_t<S, B> where it is fine, else refused<B>.
template <class S, class B, bool fine>
using accepted_t = typename detail::accepted<S, B, fine>::type;

// ---- One sentence per requirement -----------------------------------------------------------------------------------
template <class B>
consteval bool check_backend() {
  static_assert(HasScalar<B>, "modx: this is no Backend: modx::cpu is one (a Backend says  using scalar = float; or "
                              "double)");
  static_assert(!HasScalar<B> || Allocates<B>, "modx: a Backend needs  void* allocate(std::size_t bytes)  and  void "
                                               "deallocate(void*, std::size_t bytes)");
  static_assert(!HasScalar<B> || Multiplies<B>, "modx: a Backend needs  void gemm(const modx::gemm_task<scalar>&)");
  return true;
}
template <class S, class B>
consteval bool check_module() {
  static_assert(BindsToShape<S, B>, "modx: a Module needs  template <modx::Backend B> class bound  with  "
                                    "bound(modx::builder<B>&, const Spec&, modx::shape)");
  if constexpr (BindsToShape<S, B>) {
    static_assert(Forwards<S, B>, "modx: Module::bound needs  modx::var<B> forward(modx::var<B> x) const");
    constexpr bool regular = std::regular<S>;
    static_assert(regular, "modx: a Module spec must be copyable and comparable: add  bool operator==(const "
                                   "S&) const = default;");
  }
  return true;
}
template <class S, class B>
consteval bool check_router() {
  static_assert(BindsToShape<S, B>, "modx: a Router needs  template <modx::Backend B> class bound  with  "
                                    "bound(modx::builder<B>&, const Spec&, modx::shape)  (out = number of experts)");
  if constexpr (BindsToShape<S, B>) {
    constexpr bool routes = Routes<S, B>;
    static_assert(routes, "modx: Router::bound needs  route(modx::var<B> x) const  returning "
                                "modx::dense_routing<B> or modx::top_k_routing<B>");
    constexpr bool regular = std::regular<S>;
    static_assert(regular, "modx: a Router spec must be copyable and comparable: add  bool operator==(const "
                                   "S&) const = default;");
  }
  return true;
}
template <class C, class B, class Y, class R, bool has_base>
consteval bool check_combiner() {
  constexpr bool dense = std::same_as<R, dense_routing<B>>;
  constexpr bool some = CombinesBase<C, B, Y, R> || CombinesOutputs<C, B, Y, R> || CombinesDomains<C, B, Y>;
  constexpr bool regular = std::regular<C>;
  static_assert(regular, "modx: a Combiner must be copyable and comparable: add  bool operator==(const C&) "
                                 "const = default;");
  constexpr bool unbound = !some && !BindsToWidth<C, B> && requires { typename C::template bound<B>; };
  static_assert(!unbound, "modx: a Combiner with  template <modx::Backend B> class bound  needs  "
                          "bound(modx::builder<B>&, const Spec&, std::size_t width)");
  static_assert(some || unbound || !dense, "modx: a Combiner needs  modx::var<B> combine([modx::var<B> base,] const "
                                "modx::outputs<B>& y, const modx::dense_routing<B>& r) const");
  static_assert(some || unbound || dense, "modx: this Combiner takes every expert's output and dense weights, but the router "
                               "wakes k experts a token (top_k): combine modx::slot_outputs<B> by "
                               "modx::top_k_routing<B>, or route densely");
  static_assert(!some || has_base || CombinesOutputs<C, B, Y, R> || CombinesDomains<C, B, Y>,
                "modx: this Combiner adds to a base, and the mixture has none: set  .base = ...");
  static_assert(!some || !has_base || CombinesBase<C, B, Y, R>,
                "modx: the mixture has a base, and this Combiner ignores it: take  modx::var<B> base  first, or drop "
                ".base");
  return true;
}
template <class S, class B, class Y>
consteval bool check_coupling() {
  static_assert(BindsToExperts<S, B>, "modx: a Coupling needs  template <modx::Backend B> class bound  with  "
                                      "bound(modx::builder<B>&, const Spec&, std::size_t experts, std::size_t width)");
  if constexpr (BindsToExperts<S, B>) {
    static_assert(Couples<S, B, Y> || !Couples<S, B, outputs<B>>,
                  "modx: this Coupling couples every expert's output, but the router wakes k experts a token (top_k): "
                  "route densely");
    static_assert(Couples<S, B, Y> || Couples<S, B, outputs<B>>,
                  "modx: Coupling::bound needs  modx::outputs<B> couple(const modx::outputs<B>& y) const");
    constexpr bool regular = std::regular<S>;
    static_assert(regular, "modx: a Coupling spec must be copyable and comparable: add  bool "
                                   "operator==(const S&) const = default;");
  }
  return true;
}
template <class S, class B>
consteval bool check_present_coupling() {
  static_assert(check_coupling<S, B, outputs<B>>());
  if constexpr (BindsToExperts<S, B> && Couples<S, B, outputs<B>>) {
    constexpr bool knows = CouplesPresent<S, B>;
    static_assert(knows, "modx: coupling::ghost wraps a Coupling that knows how far each expert is there: "
                         "modx::outputs<B> couple(const modx::outputs<B>& y, "
                         "std::span<const typename B::scalar> presence) const");
  }
  return true;
}
template <class L, class B, class Target>
consteval bool check_loss() {
  if constexpr (!Loss<L, B, Target>) {
    constexpr bool wants_labels = Loss<L, B, labels>, wants_matrix = Loss<L, B, var<B>>;
    static_assert(!wants_labels, "modx: this Loss takes class labels (modx::ids or std::vector<std::int32_t>), and "
                                 "the target is a matrix");
    static_assert(!wants_matrix, "modx: this Loss takes a modx::matrix of targets, and the target is class labels");
    static_assert(wants_labels || wants_matrix, "modx: a Loss needs  modx::var<B> operator()(modx::var<B> y, const "
                                                "Target& t) const  with Target = modx::labels or modx::var<B>");
  }
  return true;
}
template <class O, class B>
consteval bool check_optimizer() {
  constexpr bool updates = Optimizer<O, B>;
  static_assert(updates, "modx: an Optimizer needs  template <class B> void "
                                 "update(std::span<modx::parameter<B>* const> list, double lr_scale, double "
                                 "gradient_scale) const");
  return true;
}
template <class S>
consteval bool check_schedule() {
  static_assert(Schedule<S>, "modx: a Schedule is comparable and needs  double operator()(std::uint64_t step) const");
  return true;
}
template <class M>
consteval bool check_model() {
  static_assert(IsModel<M>, "modx: this is no model, or a const one: build(backend, spec, shape) makes a model of a "
                            "spec");
  return true;
}
template <class F, class M>
consteval bool check_forward() {
  static_assert(RunsForward<F, M>, "modx: the forward pass is called as  forward(bound, x)  with a modx::var<B> x, "
                                   "and returns a modx::var<B>");
  return true;
}
template <class D, class B>
consteval bool check_data() {
  static_assert(GivesBatches<D, B>, "modx: data has size(), expect_rows(where, ids) and batch(tape, ids), as modx::dataset and "
                                    "modx::sequence_dataset have, on the model's backend");
  return true;
}

}  // namespace modx
