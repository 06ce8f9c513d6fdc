// What a router says: logits and probabilities are different types, and dense and top-k routing are too.
#pragma once
#include <modx/ops/routing.hpp>

namespace modx {

/// Raw scores, n x e.
template <class B>
struct logits : var<B> {
  logits() = default;
  logits(var<B> v) : var<B>(v) {}
  template <class X>
  logits(const X&) {
    static_assert(std::same_as<X, var<B>>, "modx: logits are made of a modx::var<B>, raw scores n x e");
  }
};
/// Non-negative, rows summing to 1.
template <class B>
struct probabilities : var<B> {
  probabilities() = default;
  probabilities(var<B> v) : var<B>(v) {}
  template <class X>
  probabilities(const X&) {
    static_assert(std::same_as<X, var<B>>, "modx: probabilities are made of a modx::var<B> whose rows sum to 1: "
                                           "modx::ops::softmax_rows(logits)");
  }
};

/// Every expert works for every token: weights n x e.
template <class B>
struct dense_routing {
  logits<B> scores;
  probabilities<B> weights;

  std::size_t experts() const { return weights.cols(); }
};
/// k experts work for a token: ids and weights n x k; `all` are the probabilities over all e experts.
template <class B>
struct top_k_routing {
  logits<B> scores;
  probabilities<B> all;
  probabilities<B> weights;
  const std::int32_t* ids = nullptr;
  permutation order;

  std::size_t experts() const { return all.cols(); }
};

/// One domain id a token.
struct domain_ids {
  const std::int32_t* id = nullptr;
  std::size_t count = 0;
};

/// The domain ids of this step, or an error that says who wanted them.
template <class B>
domain_ids domains(const char* who, var<B> x) {
  const auto& c = x.on().context;
  if (!c.domain) throw error(who, "the domain of each token (batch .domains)", "none");
  expect_equal(who, "domain ids", x.rows(), c.domain_count);
  return {c.domain, c.domain_count};
}

/// A routing that happened in this step, for losses and analysis.
template <class B>
struct routing_record {
  var<B> scores, all;       // n x e
  const std::int32_t* ids;  // n x k: who worked (null: everybody, by weight)
  std::size_t k;
  routing_record* next;
};

template <class B>
void remember(const dense_routing<B>& r) {
  auto& t = r.weights.on();
  auto* head = static_cast<routing_record<B>*>(t.routings());
  t.routings() = t.template make<routing_record<B>>(r.scores, r.weights, nullptr, std::size_t(0), head);
}
template <class B>
void remember(const top_k_routing<B>& r) {
  auto& t = r.weights.on();
  auto* head = static_cast<routing_record<B>*>(t.routings());
  t.routings() = t.template make<routing_record<B>>(r.scores, r.all, r.ids, r.order.k, head);
}
/// The last routing of this step, linked to the earlier ones; null when nothing has routed.
template <class B>
const routing_record<B>* routings(tape<B>& t) {
  return static_cast<const routing_record<B>*>(t.routings());
}

/// What a dense mixture's experts put out in this step, before they are coupled; for losses and analysis.
template <class B>
struct outputs_record {
  var<B> x;      // what they saw
  outputs<B> y;
  var<B> weights;  // n x e
  const void* bank;
  var<B> (*one)(const void* bank, std::size_t i, var<B> x);  // expert i alone
  outputs_record* next;
};
/// The last mixture's of this step, linked to the earlier ones; null when there was none.
template <class B>
const outputs_record<B>* expert_outputs(tape<B>& t) {
  return static_cast<const outputs_record<B>*>(t.expert_outputs());
}
template <class B, class Bank>
void remember(const Bank& bank, var<B> x, const outputs<B>& y, var<B> weights) {
  auto& t = x.on();
  const auto one = [](const void* own, std::size_t i, var<B> in) { return static_cast<const Bank*>(own)->one(i, in); };
  t.expert_outputs() = t.template make<outputs_record<B>>(x, y, weights, static_cast<const void*>(&bank), +one,
                                                          static_cast<outputs_record<B>*>(t.expert_outputs()));
}

}  // namespace modx
