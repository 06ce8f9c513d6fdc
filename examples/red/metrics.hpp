// Results of all seeds -> metrics.json, and the table on screen.
#pragma once
#include <cstdio>

#include "experiments.hpp"

namespace red {

/// One value a seed -> {"mean", "sd", "values"}.
template <class F>
json over_seeds(const std::vector<json>& seeds, F value) {
  std::vector<double> values;
  for (const auto& s : seeds) values.push_back(value(s));
  return json(modx::analysis::summarize(std::move(values)));
}

/// Accuracies with their per-domain parts over seeds; `at` finds {"acc", "per_domain_acc"} in a seed's results.
template <class F>
void put_accuracies(json& out, const std::vector<json>& seeds, F at) {
  out["acc"] = over_seeds(seeds, [&](const json& s) { return at(s)["acc"].template get<double>(); });
  out["per_domain_acc"] = json::array();
  for (std::size_t d = 0; d < at(seeds[0])["per_domain_acc"].size(); ++d)
    out["per_domain_acc"].push_back(
        over_seeds(seeds, [&](const json& s) { return at(s)["per_domain_acc"][d].template get<double>(); }));
}

struct mode_text {
  std::string name, title, note;
};
inline std::vector<mode_text> mode_texts(const task& t) {
  std::vector<mode_text> all = {
      {"base", "Base head", t.base_note},
      {"global", "Global head", "one " + t.head + " head on all training data, frozen encoder"},
      {"dense_control", "Dense control", "MLP head with as many parameters as RED, all training data"},
      {"all_fixed", "All fixed", "base + 0.1 x the SUM of all experts, as published; unstable"},
      {"uniform", "Uniform", "mean of the experts' softmaxes (the paper's definition); experts trained as residuals"},
      {"oracle", "Oracle", "base + 0.1 x the expert of the true domain"},
      {"moe", "MoE, published way", "RED's experts unscaled under a router trained on labels"},
      {"moe_joint", "MoE, trained jointly", "experts and router together, with a load-balance loss"},
      {"red", "RED", "base + 0.1 x experts weighted by a router trained on domains"}};
  for (const auto& h : t.hidden)
    all.push_back({h.mode, t.hidden.size() == 1 ? "RED, hidden" : "RED, hidden, rank " + std::to_string(h.rank),
                   "low-rank residuals on the hidden vector under one classifier, as in the paper"});
  return all;
}

inline json summarize(const task& t, const std::string& profile, const std::vector<json>& seeds) {
  const std::size_t classes = t.classes, domain_count = t.domain_count();
  const auto texts = mode_texts(t);
  json out{{"format", 1}, {"profile", profile}, {"seeds", json::array()}, {"domains", t.domains},
           {"classes", classes}, {"modes", json::object()}};
  for (const auto& s : seeds) out["seeds"].push_back(s["seed"]);
  for (const auto& text : texts) {
    if (!seeds[0]["modes"].contains(text.name)) continue;
    json& mode = out["modes"][text.name];
    mode["title"] = text.title;
    mode["note"] = text.note;
    mode["parameters"] = seeds[0]["modes"][text.name]["parameters"];
    for (const char* split : {"train", "val", "test"}) {
      std::vector<modx::analysis::confusion> counts;
      for (const auto& s : seeds) {
        counts.emplace_back(classes);
        const auto& table = s["modes"][text.name][split]["confusion"];
        for (std::size_t c = 0; c < classes; ++c)
          for (std::size_t p = 0; p < classes; ++p) counts.back().add(std::int64_t(c), std::int64_t(p), table[c][p]);
      }
      mode[split] = modx::analysis::metrics_over_seeds<json>(counts);
      const auto at = [&](const json& s) -> const json& { return s["modes"][text.name][split]; };
      put_accuracies(mode[split], seeds, at);
      mode[split]["loss"] = over_seeds(seeds, [&](const json& s) { return at(s)["loss"].get<double>(); });
    }
  }
  if (seeds[0].contains("router")) {
    const auto& first = seeds[0]["router"];
    json& router = out["router"];
    for (const auto& [name, unused] : first["domain_acc"].items()) {
      router["domain_acc_of"][name] =
          over_seeds(seeds, [&, n = name](const json& s) { return s["router"]["domain_acc"][n].get<double>(); });
      std::vector<std::vector<double>> mean(domain_count, std::vector<double>(domain_count));
      for (const auto& s : seeds)
        for (std::size_t d = 0; d < domain_count; ++d)
          for (std::size_t e = 0; e < domain_count; ++e)
            mean[d][e] += s["router"]["routing_matrix"][name][d][e].get<double>() / double(seeds.size());
      router["routing_matrix"][name] = mean;
    }
    if (first["domain_acc"].contains("red")) router["domain_acc"] = router["domain_acc_of"]["red"];
  }
  if (seeds[0].contains("noise")) {
    out["noise"] = json::array();
    for (const auto& k : noise_kinds()) {
      json kind{{"kind", k.kind}, {"label", k.label}, {"levels", k.levels}, {"modes", json::object()}};
      for (const auto& text : texts) {
        if (!seeds[0]["noise"].contains(text.name)) continue;
        for (std::size_t i = 0; i < k.levels.size(); ++i)
          kind["modes"][text.name].push_back(
              over_seeds(seeds, [&](const json& s) { return s["noise"][text.name][k.kind][i].get<double>(); }));
      }
      out["noise"].push_back(std::move(kind));
    }
  }
  if (seeds[0].contains("recomposition"))
    for (std::size_t i = 0; i < seeds[0]["recomposition"].size(); ++i) {
      json row{{"name", seeds[0]["recomposition"][i]["name"]}};
      put_accuracies(row, seeds, [&](const json& s) -> const json& { return s["recomposition"][i]; });
      out["recomposition"]["rows"].push_back(std::move(row));
    }
  if (seeds[0].contains("overlap"))
    for (const char* split : {"val", "test"})
      out["overlap"][split] = over_seeds(seeds, [&](const json& s) { return s["overlap"][split].get<double>(); });
  if (seeds[0].contains("backbone_acc"))
    out["backbone_acc"] = over_seeds(seeds, [](const json& s) { return s["backbone_acc"].get<double>(); });
  for (const auto& [stage, unused] : seeds[0]["timing"].items())
    out["timing"][stage] = over_seeds(seeds, [&, n = stage](const json& s) { return s["timing"][n].get<double>(); });
  out["checks"] = json::array();
  if (seeds[0].contains("checks"))
    for (std::size_t i = 0; i < seeds[0]["checks"].size(); ++i) {
      json check = seeds[0]["checks"][i];
      for (const auto& s : seeds)
        if (!s["checks"][i]["ok"].get<bool>()) check = s["checks"][i];
      out["checks"].push_back(std::move(check));
    }
  return out;
}

/// "0.9461 ± 0.0078"; one seed has no spread.
inline std::string with_spread(const json& figure) {
  char text[64];
  if (figure["values"].size() > 1)
    std::snprintf(text, sizeof text, "%.4f ± %.4f", figure["mean"].get<double>(), figure["sd"].get<double>());
  else
    std::snprintf(text, sizeof text, "%.4f", figure["mean"].get<double>());
  return text;
}

inline void print_table(const task& about, const json& metrics) {
  const bool spread = metrics["seeds"].size() > 1;
  const int wide = spread ? 15 : 13;
  std::printf("\n%-13s %10s  %-*s  %-*s  %-7s", "mode", "parameters", wide, "test accuracy", wide, "macro-F1", "loss");
  for (const auto& d : metrics["domains"]) std::printf("  %5s", d.get<std::string>().c_str());
  std::printf("\n");
  for (const auto& [name, mode] : metrics["modes"].items()) {
    const auto& t = mode["test"];
    const int cells = wide + spread;  // the bytes of "±" are one more than its columns
    std::printf("%-13s %10zu  %-*s  %-*s  %-7.4f", name.c_str(), mode["parameters"].get<std::size_t>(), cells,
                with_spread(t["acc"]).c_str(), cells, with_spread(t["macro_f1"]).c_str(), t["loss"]["mean"].get<double>());
    for (const auto& d : t["per_domain_acc"]) std::printf("  %.3f", d["mean"].get<double>());
    std::printf("\n");
  }
  const bool routed = metrics.contains("router") && metrics["router"].contains("domain_acc");
  if (routed && about.router_row)
    std::printf("%-13s %10s  %-*s\n", "router", "(domains)", wide + spread, with_spread(metrics["router"]["domain_acc"]).c_str());
  if (metrics.contains("backbone_acc"))
    std::printf("asked for the answer token by token, the backbone itself is right on %s of the %s\n",
                with_spread(metrics["backbone_acc"]).c_str(), about.test_rows.c_str());
  if (metrics.contains("overlap"))
    std::printf("%.2f %% of the %s are in training too\n", 100 * metrics["overlap"]["test"]["mean"].get<double>(), about.test_rows.c_str());
  if (routed)
    std::printf("RED's router finds the domain of %s of the %s\n", with_spread(metrics["router"]["domain_acc"]).c_str(),
                about.test_rows.c_str());
  if (metrics["modes"].contains("all_fixed") && spread)
    std::printf("all_fixed is unstable from seed to seed: read its mean with its sd\n");
  if (!spread) std::printf("one seed says nothing about the spread: run --seeds 3 or more\n");
}

}  // namespace red
