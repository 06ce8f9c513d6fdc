// The laws of a loss: one finite number with a true gradient towards the outputs, and the routings and experts' outputs of
// the step.
#pragma once
#include <modx/laws/module.hpp>
#include <modx/loss/cross_entropy.hpp>

namespace modx::laws {

namespace detail {

/// Stands for a bank whose outputs are given.
struct no_bank {
  template <class B>
  var<B> one(std::size_t, var<B> x) const { return x; }
};
/// loss(y, target) after one dense and one top-k routing over the logits z, with the experts' outputs in[2].  Losses that take labels get labels,
/// the others a tensor like y.  `repeats` copies of the batch, as in `in`.
template <class L>
auto loss_of(const L& loss, std::uint64_t seed, std::size_t n, std::size_t repeats) {
  return [&loss, seed, n, repeats]<class B>(tape<B>& t, std::span<const var<B>> in) {
    const auto y = in[0], z = in[1];
    remember(dense_routing<B>{{z}, {ops::softmax_rows(z)}});
    static constexpr no_bank bank;
    remember(bank, y, outputs<B>{in[2], z.cols()}, ops::softmax_rows(z));
    const std::size_t k = (z.cols() + 1) / 2;
    const auto* id = ops::top_k(z, k);
    remember(top_k_routing<B>{{z}, {ops::softmax_rows(z)}, {ops::softmax_rows(ops::gather_columns(z, id, k))}, id,
                              ops::sort_by_expert(t, id, z.rows(), k, z.cols())});
    if constexpr (Loss<L, B, labels>) {
      auto all = draw_ids(seed, "labels", n, y.cols());
      const auto once = all;
      for (std::size_t i = 1; i < repeats; ++i) all.insert(all.end(), once.begin(), once.end());
      return loss(y, labels{t.input(ids(all)), all.size()});
    } else {
      auto target = draw(seed, "target", n, y.cols());
      const auto once = target.data;
      for (std::size_t i = 1; i < repeats; ++i) target.data.insert(target.data.end(), once.begin(), once.end());
      return loss(y, t.input(target.data, n * repeats, y.cols()));
    }
  };
}

}  // namespace detail

/// Gradients towards y (n x width) and the router's logits (n x experts); the loss is 1 x 1 and a mean: a batch twice
/// over has the same loss.  `is_mean` false leaves the last law out.
template <Backend B, class L>
report of_loss(B& backend, const L& loss, std::size_t width, std::size_t experts = 4, const options& o = {},
               bool is_mean = true) {
  static_assert(Loss<L, B, labels> || Loss<L, B, var<B>>,
                "modx: a Loss needs  modx::var<B> operator()(modx::var<B> y, const Target&) const, with Target = "
                "modx::labels or modx::var<B>");
  return retry(o, [&](std::uint64_t seed) {
    const auto y = draw(seed, "output", o.tokens, width), z = draw(seed, "logits", o.tokens, experts),
               said = draw(seed, "expert outputs", o.tokens, 3 * experts);
    report r = gradients("loss: gradient equals central difference", backend,
                         {argument("output", y), argument("router logits", z), argument("expert outputs", said)}, {},
                         detail::loss_of(loss, seed, o.tokens, 1), o, seed);
    const auto value = [&](std::size_t repeats) {
      tape<B> t(backend);
      std::vector<var<B>> in;
      for (const auto* m : {&y, &z, &said}) {
        std::vector<double> all;
        for (std::size_t i = 0; i < repeats; ++i) all.insert(all.end(), m->data.begin(), m->data.end());
        in.push_back(t.input(all, m->rows * repeats, m->cols));
      }
      return detail::loss_of(loss, seed, o.tokens, repeats)(t, std::span<const var<B>>(in)).item();
    };
    const double once = value(1);
    if (is_mean)
      compare(r, "loss: a batch twice over has the same loss", "loss", once, value(2),
              o.exact * std::fmax(1, std::fabs(once)));
    return r;
  });
}

}  // namespace modx::laws
