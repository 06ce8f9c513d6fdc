// log.jsonl as training curves: a panel a stage, a thin line a seed, the mean as far as every seed got.
#pragma once
#include <algorithm>
#include <map>
#include <modx/io/report.hpp>
#include <set>

#include "node.hpp"

namespace red::report_part {

/// key -> (seed -> (epoch -> value)) of one stage.
using history = std::map<std::string, std::map<std::int64_t, std::map<std::int64_t, double>>>;

/// The epoch records by stage, stages in the order of their first record; records without a stage (events)
/// are skipped.
inline std::vector<std::pair<std::string, history>> stages_of(const std::vector<nlohmann::json>& log) {
  std::vector<std::pair<std::string, history>> stages;
  for (std::size_t i = 0; i < log.size(); ++i) {
    const json record = log[i];
    const node r(record, "log.jsonl, line " + std::to_string(i + 1));
    const auto stage = r.find("stage");
    if (!stage || !r.find("epoch")) continue;
    auto at = std::ranges::find(stages, stage->text(), [](const auto& s) { return s.first; });
    if (at == stages.end()) at = stages.insert(at, {stage->text(), {}});
    const std::int64_t seed = r.find("seed") ? r.at("seed").integer() : 0;
    for (const std::string key : {"loss", "acc", "val_loss", "val_acc"})
      if (record.contains(key))
        at->second[key][seed][r.at("epoch").integer()] = node(record[key], r.where() + "." + key).number();
  }
  return stages;
}

/// A thin line a seed and their mean over the epochs that every seed reached.
inline void add_curves(std::vector<modx::io::chart::series>& all, const history& h, const std::string& key,
                       const std::string& name, int colour, bool dashed) {
  const auto runs = h.find(key);
  if (runs == h.end()) return;
  modx::io::chart::series mean{.name = name, .mean = {}, .colour = colour, .dashed = dashed};
  for (const auto& [epoch, first] : runs->second.begin()->second) {
    double sum = 0, n = 0;
    for (const auto& [seed, values] : runs->second)
      if (const auto v = values.find(epoch); v != values.end()) sum += v->second, n += 1;
    if (n < static_cast<double>(runs->second.size())) break;
    mean.x.push_back(static_cast<double>(epoch));
    mean.mean.push_back(sum / n);
  }
  if (runs->second.size() > 1)
    for (const auto& [seed, values] : runs->second) {
      modx::io::chart::series run{.name = name, .mean = {}, .colour = colour, .thin = true, .dashed = dashed};
      for (const auto& [epoch, v] : values)
        run.x.push_back(static_cast<double>(epoch)), run.mean.push_back(v);
      all.push_back(std::move(run));
    }
  all.push_back(std::move(mean));
}

/// The section "Training": a table of what each stage came to, then loss and accuracy of each stage.
inline void training(modx::io::report& page, const std::vector<nlohmann::json>& log) {
  using modx::io::cell;
  const auto stages = stages_of(log);
  if (stages.empty()) return;
  page.section("Training");
  modx::io::table ends{
      .columns = {{"Stage"},
                  {"Epochs"},
                  {"Last loss"},
                  {"Last accuracy"},
                  {"Last validation loss"},
                  {"Last validation accuracy"}},
      .caption = "The last epoch of each stage, by the stage's own target (the router's is the domain)."};
  std::vector<nlohmann::json> panels;
  for (const auto& [stage, h] : stages) {
    modx::io::row row{.cells = {stage}};
    const auto last = [&](const std::string& key, bool epoch) {
      std::vector<double> values;
      if (const auto runs = h.find(key); runs != h.end())
        for (const auto& [seed, run] : runs->second)
          values.push_back(epoch ? static_cast<double>(run.rbegin()->first) : run.rbegin()->second);
      return values.empty() ? cell::missing()
                            : cell::of(modx::analysis::summarize(std::move(values)), epoch ? 1 : 4);
    };
    row.cells.push_back(last("loss", true));
    for (const char* key : {"loss", "acc", "val_loss", "val_acc"}) row.cells.push_back(last(key, false));
    ends.rows.push_back(std::move(row));
    std::vector<modx::io::chart::series> loss, acc;
    add_curves(loss, h, "loss", "training", 1, false);
    add_curves(loss, h, "val_loss", "validation", 2, true);
    add_curves(acc, h, "acc", "training", 1, false);
    add_curves(acc, h, "val_acc", "validation", 2, true);
    if (!loss.empty()) panels.push_back(modx::io::chart::lines(stage + ": loss", "epoch", "", loss));
    if (!acc.empty()) panels.push_back(modx::io::chart::lines(stage + ": accuracy", "epoch", "", acc));
  }
  page.table(ends);
  page.charts(panels,
              "Loss and accuracy of each stage. Thin lines are seeds, thick ones their mean as far as every "
              "seed got: "
              "stages stop early, each seed at its own epoch.",
              220, 4);
}

}  // namespace red::report_part
