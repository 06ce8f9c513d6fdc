// One training step: forward, loss, backward, clip, update.
#pragma once
#include <modx/loss/cross_entropy.hpp>
#include <modx/model.hpp>
#include <modx/optimizer/tasks.hpp>

namespace modx {

/// What a step may do besides following the gradient.
struct step_options {
  double lr_scale = 1;
  double clip_norm = 0;            // 0: no clipping
  std::size_t accumulation = 1;    // this micro-batch counts 1 / accumulation
  bool update = true;              // false: gradients only, more micro-batches follow
  ids domains = {};                // one a row, on the host, for oracle routers and combiners
  std::uint64_t step = 0;          // counter of the random streams
  std::span<const std::size_t> sequences = {};  // lengths of the sequences that the tokens form, for attention
};

namespace detail {
template <class B>
var<B> on_tape(tape<B>& t, const matrix<typename B::scalar>& m) { return t.input(m); }
template <class B>
labels on_tape(tape<B>& t, ids values) { return {t.input(values), values.size()}; }
template <class B>
labels on_tape(tape<B>& t, const std::vector<std::int32_t>& values) { return on_tape(t, ids(values)); }
}  // namespace detail

/// Applies the gradients of `list`: clipped to clip_norm, learning rate times lr_scale.  Returns their norm.
template <class B, class O>
double apply_gradients(B& backend, std::span<parameter<B>* const> list, const O& optimizer, double lr_scale,
                       double clip_norm) {
  if (clip_norm <= 0) {
    optimizer.update(list, lr_scale, 1.0);
    return 0;
  }
  const double norm = optimizer::gradient_norm(backend, list);
  optimizer.update(list, lr_scale, norm > clip_norm ? clip_norm / norm : 1.0);
  return norm;
}

namespace detail {
template <class Target, class B> concept IsTarget = requires(tape<B>& t, const Target& v) { on_tape(t, v); };
template <class B, IsTarget<B> Target>
using target_t = decltype(on_tape(std::declval<tape<B>&>(), std::declval<const Target&>()));

template <class M, class O, class L, class X, class Target>
consteval bool check_step() {
  static_assert(check_model<M>());
  if constexpr (IsModel<M>) {
    using B = typename M::backend_type;
    static_assert(std::convertible_to<const X&, const matrix<typename B::scalar>&>,
                  "modx: train_step(model, optimizer, loss, x, target) takes x as a modx::matrix of the backend's "
                  "scalar");
    static_assert(IsTarget<Target, B>, "modx: a target is a modx::matrix of the backend's scalar, or class labels: "
                                       "modx::ids or std::vector<std::int32_t>");
    static_assert(check_optimizer<O, B>());
    if constexpr (IsTarget<Target, B>) static_assert(check_loss<L, B, target_t<B, Target>>());
  }
  return true;
}
template <class M, class O, class L, class X, class Target>
inline constexpr bool fits_step = [] {
  if constexpr (IsModel<M>) {
    using B = typename M::backend_type;
    if constexpr (IsTarget<Target, B> && std::convertible_to<const X&, const matrix<typename B::scalar>&>)
      return Optimizer<O, B> && Loss<L, B, target_t<B, Target>>;
  }
  return false;
}();

template <class M, class O, class L, class Target, class F>
double step(M& model, const O& optimizer, const L& loss, const matrix<typename M::scalar>& x, const Target& target,
            const step_options& options, F& forward) {
  using B = typename M::backend_type;
  expect_positive("train_step", "accumulation", static_cast<long long>(options.accumulation));
  expect_positive("train_step", "rows", static_cast<long long>(x.rows));
  auto& t = model.tape_of_step();
  t.reset();
  t.context.training = true;
  t.context.step = options.step;
  if (!options.domains.empty())
    t.context.domain = t.input(options.domains), t.context.domain_count = options.domains.size();
  if (!options.sequences.empty()) t.context.sequence = t.sequences_of(options.sequences);
  model.pack_weights();
  const auto y = forward(model.bound(), t.input(x.data, x.rows, x.cols == model.io().in.size() ? model.io().in : extent(x.cols)));
  const var<B> value = loss(y, detail::on_tape(t, target));
  const double result = double(value.item());
  if (!std::isfinite(result)) {
    t.reset();
    throw error("train_step", "a finite loss", std::to_string(result));
  }
  t.backward(value, typename B::scalar(1.0 / double(options.accumulation)));
  if (options.update) apply_gradients(model.backend(), model.parameters(), optimizer, options.lr_scale, options.clip_norm);
  t.reset();
  return result;
}
}  // namespace detail

/// One step of `model` whose output is forward(bound, x): returns the loss.
/// Throws when the loss is not finite; no parameter has changed then.
template <class M, class O, class L, class X, class Target, class F>
double train_step(M& model, const O& optimizer, const L& loss, const X& x, const Target& target,
                  const step_options& options, F&& forward) {
  static_assert(detail::check_step<M, O, L, X, Target>());
  if constexpr (detail::fits_step<M, O, L, X, Target>) {
    static_assert(check_forward<F, M>());
    return detail::step(model, optimizer, loss, x, target, options, forward);
  }
  return 0;
}
template <class M, class O, class L, class X, class Target>
double train_step(M& model, const O& optimizer, const L& loss, const X& x, const Target& target,
                  const step_options& options = {}) {
  return train_step(model, optimizer, loss, x, target, options,
                    [](const auto& bound, auto input) { return bound.forward(input); });
}

}  // namespace modx
