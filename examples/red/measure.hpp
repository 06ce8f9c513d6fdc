// What a mode scores: per split a confusion matrix, loss and per-domain accuracy; per mixture its routing matrix.
#pragma once
#include <modx/analysis/json.hpp>

#include "networks.hpp"

namespace red {

using json = nlohmann::ordered_json;
/// The data set of a model's backend.
template <class M>
using features = modx::dataset<typename M::backend_type>;

/// {"loss", "acc", "per_domain_acc", "confusion"} of forward(bound, h) on `rows`.
template <class M, class F>
json score(const task& t, M& model, const features<M>& data, const std::vector<std::int32_t>& rows, F forward) {
  const auto e = modx::evaluate(model, data, rows, data.label, forward);
  modx::analysis::confusion counts(t.classes);
  std::vector<double> right(t.domain_count()), all(t.domain_count());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto r = std::size_t(rows[i]);
    counts.add(data.label[r], e.predicted[i]);
    all[std::size_t(data.domain[r])] += 1;
    right[std::size_t(data.domain[r])] += data.label[r] == e.predicted[i];
  }
  json per_domain = json::array();
  for (std::size_t d = 0; d < t.domain_count(); ++d) per_domain.push_back(all[d] > 0 ? right[d] / all[d] : 0);
  json j;
  j["loss"] = e.loss;
  j["acc"] = e.accuracy;
  j["per_domain_acc"] = per_domain;
  j["confusion"] = counts;
  return j;
}

/// The mode on all three splits.
template <class M, class F>
json score_splits(const task& t, M& model, const features<M>& data, const splits& s, std::size_t parameters, F forward) {
  json j{{"parameters", parameters}};
  j["train"] = score(t, model, data, s.train, forward);
  j["val"] = score(t, model, data, s.val, forward);
  j["test"] = score(t, model, data, s.test, forward);
  return j;
}

/// Mean gate weight, domain x expert, and the share of rows whose largest weight is their domain's.
template <class M, class F>
json routing_matrix(const task& t, M& model, const features<M>& data, const std::vector<std::int32_t>& rows, F forward, double& hit) {
  const std::size_t domains = t.domain_count();
  std::vector<std::vector<double>> sum(domains, std::vector<double>(domains));
  std::vector<double> count(domains);
  std::size_t hits = 0;
  modx::evaluate(model, data, rows, data.label, forward, nullptr, [&](auto& tape, modx::ids own) {
    const auto* routing = modx::routings(tape);
    const auto weights = routing->all.host();
    for (std::size_t i = 0; i < own.size(); ++i) {
      const auto d = std::size_t(data.domain[std::size_t(own[i])]);
      count[d] += 1;
      for (std::size_t e = 0; e < domains; ++e) sum[d][e] += double(weights(i, e));
      hits += std::size_t(modx::argmax(weights.row(i))) == d;
    }
  });
  for (std::size_t d = 0; d < domains; ++d)
    for (double& w : sum[d]) w /= std::max(1.0, count[d]);
  hit = rows.empty() ? 0 : double(hits) / double(rows.size());
  return sum;
}

}  // namespace red
