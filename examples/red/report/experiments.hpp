// The sections of the experiments after training (routing noise, recomposition), and timing, configuration
// and notes.
#pragma once
#include "results.hpp"

namespace red::report_part {

inline void noise(const context& c, report& page) {
  const auto kinds = c.metrics.find("noise");
  if (!kinds || kinds->items().empty()) return;
  page.section("Routing noise");
  std::vector<nlohmann::json> panels;
  std::vector<modx::io::table> tables;
  double low = 1, high = 0;
  for (const node& kind : kinds->items()) {
    const auto levels = kind.at("levels").numbers();
    const std::string label = kind.find("label") ? kind.at("label").text() : kind.at("kind").text();
    modx::io::table t{.columns = {{"Mode"}},
                      .caption = kind.at("kind").text() + ": test accuracy at each level (" + label + ")."};
    for (double l : levels) t.columns.push_back({shortest(l)});
    std::vector<modx::io::chart::series> lines;
    for (const auto& [mode, figures] : modes_in_order(kind.at("modes"))) {
      modx::io::chart::series s{.name = c.title(mode), .mean = {}, .x = levels, .colour = colour(c, mode)};
      modx::io::row row{.cells = {c.title(mode)}};
      bool spread = false;
      for (const node& level : figures.items(levels.size())) {
        const auto f = level.figure();
        low = std::fmin(low, f.mean - f.sd), high = std::fmax(high, f.mean + f.sd);
        s.mean.push_back(f.mean), s.sd.push_back(f.sd), spread = spread || f.spread();
        row.cells.push_back(cell::of(f));
      }
      if (!spread) s.sd.clear();
      lines.push_back(std::move(s));
      t.rows.push_back(std::move(row));
    }
    panels.push_back(modx::io::chart::lines(kind.at("kind").text(), label, "test accuracy", lines));
    tables.push_back(std::move(t));
  }
  for (nlohmann::json& p : panels)  // one scale, so that panels can be compared
    if (low <= high)
      p["yAxis"]["min"] = std::floor(20 * low) / 20, p["yAxis"]["max"] = std::ceil(20 * high) / 20;
  page.charts(panels,
              "Test accuracy as the routing gets worse, bands ± sd over seeds; all panels have one scale.",
              320, 2);
  page.folded("Routing noise as tables", tables);
}

inline void recomposition(const context& c, report& page) {
  const auto found = c.metrics.find("recomposition");
  const auto rows = found ? found->find("rows") : std::nullopt;
  if (!rows || rows->items().empty()) return;
  page.section("Recomposition");
  modx::io::table t{.columns = with_domains(c, {{"Change"}, {"Test accuracy"}}, best::none),
                    .caption = "Experts changed after training, without training again."};
  for (const node& r : rows->items()) {
    t.rows.push_back({.cells = {r.at("name").text(), cell::of(r.at("acc").figure())}});
    add_domains(c, t.rows.back(), r.find("per_domain_acc"));
  }
  page.table(t);
}

inline void timing(const context& c, report& page) {
  const auto stages = c.metrics.find("timing");
  if (!stages || stages->members().empty()) return;
  page.section("Timing");
  modx::io::table t{.columns = {{"Stage"}, {"Seconds"}}, .caption = "Wall-clock time per seed."};
  for (const auto& [stage, seconds] : stages->members())
    t.rows.push_back({.cells = {stage, cell::of(seconds.figure(), 2)}});
  page.table(t);
}

/// A row a leaf: "a.b[0]" and its value; what is nested deeper than `depth` is only named.
inline void flatten(modx::io::table& t, const std::string& path, const json& value, int depth = 12) {
  const auto name = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  const bool leaf = !value.is_structured() || value.empty();
  const bool short_list = value.is_array() && value.size() <= 16 &&
                          std::ranges::none_of(value, [](const json& v) { return v.is_structured(); });
  if (leaf || short_list || depth == 0) {
    const std::string text =
        leaf || short_list ? value.dump(-1, ' ', false, json::error_handler_t::replace) : "…";
    t.rows.push_back({.cells = {path, value.is_string() ? value.get<std::string>() : text}});
  } else if (value.is_object()) {
    for (const auto& [key, v] : value.items()) flatten(t, name(key), v, depth - 1);
  } else {
    for (std::size_t i = 0; i < value.size(); ++i)
      flatten(t, path + "[" + std::to_string(i) + "]", value[i], depth - 1);
  }
}

inline void configuration(const json& config, report& page) {
  if (config.empty()) return;
  page.section("Configuration");
  modx::io::table t{.columns = {{"Setting"}, {"Value"}}};
  flatten(t, "", config);
  page.table(t);
}

/// What a reader must know: the modes' own notes, and what is ours and not the authors'.
inline void notes(const context& c, report& page) {
  std::vector<std::string> all;
  for (const auto& [name, entry] : c.modes)
    if (const auto note = entry.find("note"); note && !note->text().empty())
      all.push_back(c.title(name) + ": " + note->text());
  if (c.has("all_fixed"))
    all.push_back(
        "all_fixed is unstable: it adds the outputs of all experts, although each was trained as the only "
        "one beside "
        "the base and on its own domain alone. Nothing bounds the sum, so its accuracy is low and varies "
        "widely "
        "between seeds and numbers of epochs.");
  if (c.has("oracle"))
    all.push_back(
        "The oracle is told the true domain of every sample; it bounds what routing can gain and is no "
        "competitor.");
  if (c.metrics.find("noise") || c.metrics.find("recomposition"))
    all.push_back(
        "Routing noise and recomposition are modx's own experiments; the published work has no figures for "
        "them.");
  if (const auto profile = c.metrics.find("profile"); profile && profile->text() == "published")
    all.push_back(
        "Profile published: the authors' protocol, which stops early on the training loss and never uses the "
        "validation set to choose.");
  if (all.empty()) return;
  page.section("Notes");
  page.bullets(all);
}

}  // namespace red::report_part
