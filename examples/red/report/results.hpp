// The sections of what was measured on the test set: results by mode, accuracy by domain, routing matrices.
#pragma once
#include <algorithm>
#include <modx/io/report.hpp>
#include <optional>
#include <string>
#include <vector>

#include "../task.hpp"
#include "node.hpp"

namespace red::report_part {

using modx::io::best;
using modx::io::cell;
using modx::io::report;

/// What every section needs: the metrics, the modes in order, the domains' titles and the word before them.
struct context {
  node metrics;
  std::vector<std::pair<std::string, node>> modes;
  std::vector<std::string> domains;
  std::string word;
  bool router_row = false;

  std::string capital() const {
    std::string w = word;
    if (!w.empty()) w[0] = char(std::toupper(static_cast<unsigned char>(w[0])));
    return w;
  }
  std::string title(const std::string& mode) const {
    for (const auto& [name, entry] : modes)
      if (const auto t = name == mode ? entry.find("title") : std::nullopt) return t->text();
    return mode;
  }
  bool has(const std::string& mode) const {
    return std::ranges::any_of(modes, [&](const auto& m) { return m.first == mode; });
  }
};

/// A mode keeps its colour in every chart, and the well-known ones in every report; the others take those that are free.
inline int colour(const context& c, const std::string& mode) {
  static const std::vector<std::string> fixed{"base",      "moe",       "red",    "uniform", "red_hidden",
                                              "all_fixed", "moe_joint", "oracle", "global",  "dense_control"};
  const auto at = std::ranges::find(fixed, mode);
  if (at != fixed.end()) return static_cast<int>(at - fixed.begin());
  std::size_t next = 0;
  for (const auto& m : c.modes) {
    if (std::ranges::find(fixed, m.first) != fixed.end()) continue;
    while (next < fixed.size() && c.has(fixed[next])) ++next;
    if (m.first == mode) break;
    ++next;
  }
  return static_cast<int>(next);
}

inline std::vector<modx::io::column> with_domains(const context& c, std::vector<modx::io::column> columns,
                                                  best mark) {
  for (const std::string& d : c.domains) columns.push_back({c.capital() + " " + d, mark});
  return columns;
}

inline void add_domains(const context& c, modx::io::row& row, const std::optional<node>& list) {
  if (list)
    for (const node& d : list->items(c.domains.size())) row.cells.push_back(cell::of(d.figure()));
  else
    row.cells.insert(row.cells.end(), c.domains.size(), cell::missing());
}

inline cell figure_or_missing(const std::optional<node>& parent, const std::string& key, int digits = 4) {
  const auto found = parent ? parent->find(key) : std::nullopt;
  return found ? cell::of(found->figure(), digits) : cell::missing();
}

inline void results(const context& c, report& page) {
  if (c.modes.empty()) return;
  page.section("Results");
  modx::io::table t{.columns = with_domains(c,
                                            {{"Mode"},
                                             {"Parameters"},
                                             {"Test accuracy", best::highest},
                                             {"Macro-F1", best::highest},
                                             {"Loss", best::lowest}},
                                            best::highest)};
  modx::io::table splits{
      .columns = {{"Mode"}, {"Training accuracy"}, {"Validation accuracy"}, {"Test accuracy"}},
      .caption = "Accuracy by split."};
  for (const auto& [name, entry] : c.modes) {
    const auto test = entry.find("test"), count = entry.find("parameters");
    modx::io::row row{.cells = {c.title(name), count ? cell::count(count->integer()) : cell::missing()},
                      .competes = name != "oracle"};
    for (const char* key : {"acc", "macro_f1", "loss"}) row.cells.push_back(figure_or_missing(test, key));
    add_domains(c, row, test ? test->find("per_domain_acc") : std::nullopt);
    t.rows.push_back(std::move(row));
    splits.rows.push_back(
        {.cells = {c.title(name), figure_or_missing(entry.find("train"), "acc"),
                   figure_or_missing(entry.find("val"), "acc"), figure_or_missing(test, "acc")}});
  }
  if (const auto router = c.router_row ? c.metrics.find("router") : std::nullopt)
    if (const auto accuracy = router->find("domain_acc")) {
      t.rows.push_back({.cells = {"RED's router, of the domain", cell::missing(), cell::of(accuracy->figure())}, .competes = false});
      t.rows.back().cells.resize(t.columns.size(), cell::missing());
    }
  const std::size_t seeds = c.metrics.at("seeds").items().size();
  t.caption =
      (seeds > 1 ? "Test set, mean ± sample standard deviation over " + std::to_string(seeds) + " seeds. "
                 : std::string("Test set, one seed: there is no standard deviation. ")) +
      "Bold is the best mean of a column";
  t.caption += c.has("oracle") ? "; the oracle, which is told the domain, doesn't compete." : ".";
  page.table(t);
  if (const auto overlap = c.metrics.find("overlap"))
    page.paragraph("In training too: " + modx::io::show_number(100 * overlap->at("test").figure().mean, 2) + " % of the test rows, " +
                   modx::io::show_number(100 * overlap->at("val").figure().mean, 2) + " % of the validation rows.");
  if (const auto own = c.metrics.find("backbone_acc")) {
    const auto f = own->figure();
    page.paragraph("Asked for the answer token by token, the backbone itself is right on " + modx::io::show_number(100 * f.mean, 2) +
                   (f.spread() ? " ± " + modx::io::show_number(100 * f.sd, 2) : "") + " % of the test rows.");
  }
  page.folded("Training and validation accuracy", {splits});
}

inline void domains(const context& c, report& page) {
  std::vector<modx::io::chart::series> bars;
  for (const auto& [name, entry] : c.modes) {
    const auto test = entry.find("test");
    const auto list = test ? test->find("per_domain_acc") : std::nullopt;
    if (!list) continue;
    modx::io::chart::series s{.name = c.title(name), .mean = {}, .colour = colour(c, name)};
    bool spread = false;
    for (const node& d : list->items(c.domains.size())) {
      const auto f = d.figure();
      s.mean.push_back(f.mean), s.sd.push_back(f.sd), spread = spread || f.spread();
    }
    if (!spread) s.sd.clear();
    bars.push_back(std::move(s));
  }
  if (bars.empty()) return;
  std::vector<std::string> groups;
  for (const std::string& d : c.domains) groups.push_back(c.word + " " + d);
  page.section("Accuracy by domain");
  page.charts({modx::io::chart::grouped_bars("", groups, "test accuracy", bars)},
              "Test accuracy in each domain, whiskers ± sd over seeds. The axis begins near the lowest "
              "value; click a mode to hide it.",
              380);
}

inline void routing(const context& c, report& page) {
  const auto router = c.metrics.find("router");
  if (!router) return;
  const auto accuracy = router->find("domain_acc"), matrices = router->find("routing_matrix");
  if (!accuracy && !matrices) return;
  page.section("Routing");
  if (accuracy) {
    const auto f = accuracy->figure();
    page.paragraph("The router names the right domain of " + modx::io::show_number(100 * f.mean, 2) +
                   (f.spread() ? " ± " + modx::io::show_number(100 * f.sd, 2) : "") +
                   " % of the test samples.");
  }
  if (!matrices) return;
  std::vector<nlohmann::json> maps;
  std::vector<modx::io::table> tables;
  for (const auto& [mode, matrix] : modes_in_order(*matrices)) {
    std::vector<std::vector<double>> gates;
    for (const node& row : matrix.items(c.domains.size())) gates.push_back(row.numbers());
    std::vector<std::string> experts;
    for (std::size_t e = 0; !gates.empty() && e < gates.front().size(); ++e)
      experts.push_back(std::to_string(e));
    maps.push_back(
        modx::io::chart::heat_map(c.title(mode), c.domains, experts, c.word, "expert", gates, 0, 1));
    modx::io::table t{.columns = {{c.capital()}}, .caption = "Mean gate weights of " + c.title(mode) + "."};
    for (const std::string& e : experts) t.columns.push_back({"Expert " + e});
    for (std::size_t d = 0; d < gates.size(); ++d) {
      t.rows.push_back({.cells = {c.domains[d]}});
      for (double g : gates[d]) t.rows.back().cells.push_back(cell::number(g, 3));
    }
    tables.push_back(std::move(t));
  }
  page.charts(maps, "Mean gate weight of each expert (across) for each domain (down) on the test set.", 280,
              3);
  page.folded("Gate weights as tables", tables);
}

}  // namespace red::report_part
