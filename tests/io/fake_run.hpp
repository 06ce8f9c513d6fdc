// A made-up run of red_mnist: the schema of metrics.json, config.json and log.jsonl with plausible numbers.
#pragma once
#include <cmath>
#include <modx/analysis/json.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fake {

using json = nlohmann::ordered_json;

inline constexpr int seeds = 3, domains = 5, classes = 10;

/// A value a seed around `mean`, the same at every call.
inline json figure(double mean, double sd, int salt = 0) {
  std::vector<double> values;
  for (int s = 0; s < seeds; ++s) values.push_back(mean + sd * std::sin(12.9898 * (salt + 1) + 7.7 * s));
  return modx::analysis::summarize(std::move(values));
}

inline json split(double acc, double loss, double sd, int salt) {
  json j{{"acc", figure(acc, sd, salt)}, {"loss", figure(loss, 5 * sd, salt + 1)}};
  for (const char* m : {"precision", "recall", "f1"}) {
    j[std::string("macro_") + m] = figure(acc - 0.0005, sd, salt);
    j[std::string("weighted_") + m] = figure(acc, sd, salt);
    json list = json::array();
    for (int c = 0; c < classes; ++c) list.push_back(figure(acc + 0.02 * std::sin(c + salt), sd, c + salt));
    j[std::string("per_class_") + m] = list;
  }
  json per_domain = json::array();
  for (int d = 0; d < domains; ++d)
    per_domain.push_back(figure(acc + 0.3 * (1 - acc) * std::cos(2 * d + salt), 2 * sd, d + salt));
  j["per_domain_acc"] = per_domain;
  json counts = json::array();
  for (int t = 0; t < classes; ++t) {
    counts.push_back(json::array());
    for (int p = 0; p < classes; ++p) counts.back().push_back(t == p ? 2900 : 11);
  }
  j["confusion"] = counts;
  return j;
}

inline json metrics() {
  json m{{"format", 1},
         {"profile", "fair"},
         {"seeds", {42, 43, 44}},
         {"domains", {"0-1", "2-3", "4-5", "6-7", "8-9"}},
         {"classes", 10}};
  struct mode {
    const char *name, *title, *note;
    std::int64_t parameters;
    double acc, loss, sd;
  };
  const mode modes[]{
      {"base", "Base", "10 % of the training data, 2 epochs", 421642, 0.947, 0.181, 0.002},
      {"global", "Global head", "one head trained on everything", 421642, 0.982, 0.06, 0.001},
      {"dense_control", "Dense control", "as many parameters as RED in one head", 428738, 0.984, 0.055,
       0.001},
      {"all_fixed", "All fixed", "", 428738, 0.58, 2.0, 0.12},
      {"uniform", "Uniform", "", 428093, 0.951, 0.17, 0.003},
      {"oracle", "Oracle", "", 428093, 0.993, 0.03, 0.0005},
      {"moe", "MoE, softmax gating", "experts frozen, router trained on labels", 427448, 0.73, 2.97, 0.03},
      {"moe_joint", "MoE, joint", "", 427448, 0.983, 0.06, 0.001},
      {"red", "RED", "", 428738, 0.9851, 0.052, 0.0011},
      {"red_hidden", "RED on the hidden vector", "low-rank experts, shared classifier", 428000, 0.984, 0.054,
       0.001}};
  int salt = 0;
  for (const mode& x : modes) {
    json& j = m["modes"][x.name];
    j = {{"title", x.title}, {"note", x.note}, {"parameters", x.parameters}};
    for (const char* s : {"train", "val", "test"}) j[s] = split(x.acc, x.loss, x.sd, ++salt);
  }
  m["router"]["domain_acc"] = figure(0.957, 0.002);
  for (const char* name : {"red", "moe", "red_hidden"}) {
    json matrix = json::array();
    for (int d = 0; d < domains; ++d) {
      matrix.push_back(json::array());
      for (int e = 0; e < domains; ++e)
        matrix.back().push_back(std::string(name) == "moe" ? 0.2 + 0.12 * std::sin(3 * d + e)
                                : d == e                   ? 0.93
                                                           : 0.0175);
    }
    m["router"]["routing_matrix"][name] = matrix;
  }
  struct kind {
    const char *name, *label;
    std::vector<double> levels;
    double harm;
  };
  const kind kinds[]{{"gaussian", "σ of Gaussian noise on the router logits", {0, 0.5, 1, 2, 4}, 0.06},
                     {"temperature", "temperature of the softmax", {0.25, 0.5, 1, 2, 4}, 0.01},
                     {"reroute", "probability of a random expert", {0, 0.1, 0.25, 0.5, 1}, 0.2},
                     {"swap_top2", "0: as routed, 1: top two swapped", {0, 1}, 0.3}};
  for (const kind& k : kinds) {
    json j{{"kind", k.name}, {"label", k.label}, {"levels", k.levels}};
    for (const auto& [name, start] :
         {std::pair("red", 0.985), std::pair("moe", 0.73), std::pair("uniform", 0.951)})
      for (double level : k.levels)
        j["modes"][name].push_back(
            figure(std::string(name) == "uniform" ? start : start - k.harm * level * start,
                   0.004 + 0.004 * level, salt++));
    m["noise"].push_back(j);
  }
  for (int d = 0; d < domains; ++d) {
    json list = json::array();
    for (int k = 0; k < domains; ++k) list.push_back(figure(k == d ? 0.91 : 0.985, 0.004, salt++));
    m["recomposition"]["rows"].push_back(
        {{"name", "remove expert " + std::to_string(d) + " (digits " +
                      m["domains"][static_cast<std::size_t>(d)].get<std::string>() + ")"},
         {"acc", figure(0.972, 0.002, salt++)},
         {"per_domain_acc", list}});
  }
  for (const char* stage :
       {"base", "expert_0", "expert_1", "expert_2", "expert_3", "expert_4", "router", "moe", "total"})
    m["timing"][stage] = figure(std::string(stage) == "total" ? 41 : 4, 0.4, salt++);
  m["checks"] = {
      {{"name", "an expert that was added changes no output before it is trained"},
       {"ok", true},
       {"detail", "max |Δ| = 0"}},
      {{"name", "every stage's parameters moved"}, {"ok", true}},
      {{"name", "RED ≥ base in every domain"}, {"ok", false}, {"detail", "digits 0-1: 0.9839 < 0.9934"}}};
  return m;
}

inline json config() {
  return {{"profile", "fair"},
          {"seeds", {42, 43, 44}},
          {"hidden_dim", 128},
          {"lr", {{"base", 1e-3}, {"expert", 3e-3}}},
          {"save_dir", "run"},
          {"stages", {{{"name", "base"}, {"epochs", 2}}, {{"name", "expert_0"}, {"epochs", 30}}}}};
}

inline std::vector<nlohmann::json> log() {
  std::vector<nlohmann::json> all{{{"event", "start"}, {"seed", 42}}};
  for (int seed = 0; seed < seeds; ++seed)
    for (const std::string stage :
         {"base", "expert_0", "expert_1", "expert_2", "expert_3", "expert_4", "router", "moe"}) {
      const int last = stage == "base" ? 2 : 12 + 5 * seed + static_cast<int>(stage.back()) % 3;
      for (int e = 1; e <= last; ++e) {
        const double loss = 0.05 + 0.6 / e + 0.02 * std::sin(e + seed),
                     acc = 0.99 - 0.2 / e + 0.004 * std::sin(e + 2.0 * seed);
        all.push_back({{"seed", 42 + seed},
                       {"stage", stage},
                       {"epoch", e},
                       {"loss", loss},
                       {"acc", acc},
                       {"val_loss", loss + 0.02},
                       {"val_acc", acc - 0.01},
                       {"lr", 1e-3},
                       {"seconds", 0.4},
                       {"terms", {{"cross_entropy", loss}, {"load_balance", 0.0}}}});
      }
    }
  return all;
}

}  // namespace fake
