// loss = weight * mean over routings of e sum_i f_i P_i  (Switch Transformer, Fedus et al. 2022, eq. 4).
// f_i: share of the tokens' slots that expert i got (no gradient), P_i: mean probability of expert i.
#pragma once
#include <modx/loss/sum.hpp>

namespace modx::loss {

/// 1 * weight when balanced, e * weight when one expert gets everything.  Reads the routings of the step: throws when
/// no router has run.  Dense routings count the largest weight of each token as its slot.
struct load_balance : term {
  double weight = 0.01;
  load_balance(double w = 0.01) : weight(w) {}
  bool operator==(const load_balance&) const = default;

  template <Backend B, class Target>
  var<B> operator()(var<B> y, const Target&) const {
    auto& t = y.on();
    var<B> total;
    std::size_t count = 0;
    for (auto* r = routings(t); r; r = r->next, ++count) {
      const std::size_t n = r->all.rows(), e = r->all.cols(), k = r->ids ? r->k : 1;
      const auto* id = r->ids ? r->ids : ops::top_k(r->all, 1);
      const permutation order = ops::sort_by_expert(t, id, n, k, e);
      matrix<typename B::scalar> share(1, e);
      for (std::size_t i = 0; i < e; ++i)
        share(0, i) = typename B::scalar(double(order.offsets[i + 1] - order.offsets[i]) / double(n * k));
      const auto one = double(e) * ops::sum(ops::multiply(ops::mean_of_rows(r->all), t.input(share)));
      total = total ? total + one : one;
    }
    if (!count) throw error("load_balance", "a router in the forward pass", "none");
    return (weight / double(count)) * total;
  }
};

}  // namespace modx::loss
