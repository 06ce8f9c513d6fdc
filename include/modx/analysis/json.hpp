// summary -> {"mean", "sd", "values"},   scores over seeds -> the metrics of one split in metrics.json.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <modx/analysis/classification.hpp>
#include <modx/analysis/statistics.hpp>

namespace modx::analysis {

/// {"mean": x, "sd": y, "values": [one a seed]}.
template <class Json>
void to_json(Json& j, const summary& s) {
  j = Json{{"mean", s.mean}, {"sd", s.sd}, {"values", s.values}};
}

/// The counts, row = true class, column = predicted class.
template <class Json>
void to_json(Json& j, const confusion& c) {
  j = Json::array();
  for (std::int64_t t = 0; t < c.classes(); ++t) {
    Json row = Json::array();
    for (std::int64_t p = 0; p < c.classes(); ++p) row.push_back(c.count(t, p));
    j.push_back(std::move(row));
  }
}

/// One split's metrics over seeds: acc, macro_*, weighted_*, per_class_* as summaries, the confusion counts
/// summed; throws modx::error without seeds or where the number of classes differs.
template <class Json = nlohmann::ordered_json>
Json metrics_over_seeds(const std::vector<confusion>& seeds) {
  if (seeds.empty()) throw error("analysis::metrics_over_seeds", "at least one seed", "none");
  confusion sum = seeds.front();
  std::vector<scores> all;
  for (const confusion& c : seeds) {
    if (!all.empty()) sum += c;
    all.push_back(c.evaluate());
  }
  const auto over = [&](const auto& figure) {
    std::vector<double> values;
    for (const scores& s : all) values.push_back(std::invoke(figure, s));
    return summarize(std::move(values));
  };
  Json j = Json::object();
  j["acc"] = over(&scores::accuracy);
  j["macro_precision"] = over(&scores::macro_precision);
  j["macro_recall"] = over(&scores::macro_recall);
  j["macro_f1"] = over(&scores::macro_f1);
  j["weighted_precision"] = over(&scores::weighted_precision);
  j["weighted_recall"] = over(&scores::weighted_recall);
  j["weighted_f1"] = over(&scores::weighted_f1);
  const auto per_class = [&](double class_scores::*figure) {
    Json list = Json::array();
    for (std::size_t c = 0; c < all.front().per_class.size(); ++c)
      list.push_back(over([&](const scores& s) { return s.per_class[c].*figure; }));
    return list;
  };
  j["per_class_precision"] = per_class(&class_scores::precision);
  j["per_class_recall"] = per_class(&class_scores::recall);
  j["per_class_f1"] = per_class(&class_scores::f1);
  j["confusion"] = sum;
  return j;
}

}  // namespace modx::analysis
