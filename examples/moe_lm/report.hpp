// report.html of a run: results, curves, connections between experts, ghosts, specialisation, load.
#pragma once
#include <modx/io/report.hpp>

#include "analysis.hpp"

namespace moe_lm {

/// Learnt weights of hyperedges as bars and as a table; nothing where none is learnt.
inline void hyperedge_section(modx::io::report& page, const options& o, trainer::model_type& model) {
  std::vector<std::string> edges;
  modx::io::table t{.columns = {{"Experts"}}};
  for (const auto& edge : model.spec().hypergraph().hyperedges(model.spec().all_experts())) {
    std::string name;
    for (const auto i : edge)
      name += (name.empty() ? "" : " ") +
              (i < o.experts ? std::to_string(i) : "g" + std::to_string(i - o.experts));
    edges.push_back(name);
    t.rows.push_back({.cells = {name}});
  }
  std::vector<modx::io::chart::series> layers;
  for (std::size_t l = 0; l < o.layers; ++l) {
    const auto w = hyperedge_weights(model, l);
    if (w.empty()) return;
    t.columns.push_back({"Layer " + std::to_string(l)});
    for (std::size_t q = 0; q < w.size(); ++q) t.rows[q].cells.push_back(modx::io::cell::number(w[q], 3));
    layers.push_back({.name = "layer " + std::to_string(l), .mean = w, .colour = int(l) + 1});
  }
  auto bars = modx::io::chart::grouped_bars("", edges, "", layers);
  bars["yAxis"]["scale"] = false, bars.erase("zero_toggle");
  page.section("Weights of hyperedges");
  page.charts({bars},
              "softplus of the learnt weights, by the experts of each hyperedge (g: ghosts). Only their "
              "ratios count: "
              "the operator divides by their sum.",
              260);
  page.folded("Weights as a table", {t});
}

inline void write_report(const std::filesystem::path& folder, const options& o, const json& metrics,
                         const std::vector<json>& log, trainer::model_type& model,
                         const std::string& echarts) {
  namespace chart = modx::io::chart;
  using modx::io::cell;
  modx::io::report page("moe_lm: " + o.mode,
                        "Seed " + std::to_string(o.seed) + ", " + std::to_string(o.steps) + " steps");
  const auto curve = [&](const std::string& name, int colour, auto value) {
    chart::series s{.name = name, .mean = {}, .colour = colour};
    for (const auto& line : log)
      if (const json v = value(line); v.is_number())
        s.x.push_back(line.at("step").get<double>()), s.mean.push_back(v.get<double>());
    return s;
  };
  const auto of = [&](const char* key, const std::string& name, int colour) {
    return curve(name, colour, [&](const json& line) { return line.contains(key) ? line.at(key) : json(); });
  };

  page.section("Results");
  modx::io::table results{.columns = {{"Domain"}, {"Validation perplexity"}},
                          .caption = "After the last step."};
  results.rows.push_back({.cells = {"all", cell::number(metrics.at("perplexity").get<double>(), 3)}});
  for (const auto& [name, p] : metrics.at("domain_perplexity").items())
    results.rows.push_back({.cells = {name, cell::number(p.get<double>(), 3)}});
  page.table(results);
  page.paragraph("Parameters: " + metrics.at("parameters").dump() +
                 ". Training tokens: " + metrics.at("tokens").dump() + ".");

  page.section("Training");
  page.charts(
      {chart::lines("Loss", "step", "", {of("train_loss", "training", 1), of("valid_loss", "validation", 2)}),
       chart::lines("Validation perplexity", "step", "", {of("perplexity", "all", 1)}),
       chart::lines("Learning rate", "step", "", {of("lr", "learning rate", 1)})},
      "Loss a token in nats, its exponential, and the learning rate.", 260, 3);

  std::vector<std::string> names;
  for (std::size_t i = 0; i < model.spec().all_experts(); ++i)
    names.push_back(i < o.experts ? "expert " + std::to_string(i) : "ghost " + std::to_string(i - o.experts));
  std::vector<nlohmann::json> maps, drawings;
  for (std::size_t l = 0; l < o.layers; ++l) {
    const auto all = connections(model, l);
    for (std::size_t k = 0; k < all.size(); ++k) {
      const auto title =
          "Layer " + std::to_string(l) + (all.size() > 1 ? ", round " + std::to_string(k) : "");
      maps.push_back(chart::heat_map(title, names, names, "hears", "speaks", all[k], 0, 1));
      drawings.push_back(chart::graph(title, names, all[k]));
    }
  }
  if (!maps.empty()) {
    page.section("Connections of experts");
    page.charts(maps,
                o.mode == "gnn" ? "sigmoid of the adjacency: row hears column."
                                : "The operator of the hypergraph with every expert there: row hears column.",
                320, 2);
    page.charts(drawings,
                "The same as a graph: an arrow goes from who speaks to who hears, as wide as the entry.", 320,
                2);
  }
  hyperedge_section(page, o, model);

  const auto by_layer = [&](const std::string& name, auto value) {
    std::vector<chart::series> out;
    for (std::size_t l = 0; l < o.layers; ++l)
      out.push_back(curve(name + " " + std::to_string(l), int(l) + 1,
                          [&](const json& line) { return value(line, l); }));
    return out;
  };
  if (o.block_experts()) {
    page.section("Specialisation");
    auto series =
        by_layer("layer", [](const json& line, std::size_t l) { return line.at("specialisation").at(l); });
    auto random = curve("random vectors", int(o.layers) + 1,
                        [](const json& line) { return line.at("at_random").at(0); });
    random.dashed = true;
    series.push_back(std::move(random));
    page.charts({chart::lines("1 - mean |cosine| of experts' mean outputs", "step", "", series)},
                "Step 0 is the model before training; dashed: independent normal vectors of the same size.");
    modx::io::table t{
        .columns = {{"Layer"}, {"Before training"}, {"After it"}, {"Random vectors"}},
        .caption = "1 - mean |cosine| between experts' mean outputs, on a batch of validation data."};
    for (std::size_t l = 0; l < o.layers; ++l)
      t.rows.push_back(
          {.cells = {std::to_string(l), cell::number(log.front().at("specialisation").at(l).get<double>(), 3),
                     cell::number(log.back().at("specialisation").at(l).get<double>(), 3),
                     cell::number(log.back().at("at_random").at(l).get<double>(), 3)}});
    page.table(t);
  }
  if (o.has_ghosts()) {
    page.section("Ghosts");
    const auto state = [](const json& line, std::size_t l) {
      return line.at("ghosts").size() > l ? line.at("ghosts").at(l) : json();
    };
    std::vector<chart::series> levels;
    for (std::size_t g = 0; g < o.ghosts; ++g)
      for (auto& s : by_layer("ghost " + std::to_string(g) + ", layer", [&](const json& line, std::size_t l) {
             const json at = state(line, l);
             return at.is_null() ? json() : at.at("levels").at(g);
           }))
        s.colour = int(levels.size()) + 1, levels.push_back(std::move(s));
    const auto saturation = by_layer("layer", [&](const json& line, std::size_t l) {
      const json at = state(line, l);
      return at.is_null() ? json() : at.at("saturation");
    });
    std::vector<chart::series> rates, phases;
    for (std::size_t g = 0; g < o.ghosts; ++g)
      for (std::size_t l = 0; l < o.layers; ++l) {
        const auto name = "ghost " + std::to_string(g) + ", layer " + std::to_string(l);
        const int colour = int(rates.size()) + 1;
        rates.push_back(curve(name, colour, [&](const json& line) {
          const json at = state(line, l);
          return at.is_null() ? json() : at.at("lr").at(g);
        }));
        chart::series phase{.name = name, .mean = {}, .colour = colour};
        for (const auto& line : log)
          if (const json at = state(line, l); !at.is_null())
            phase.x.push_back(at.at("saturation").get<double>()),
                phase.mean.push_back(at.at("levels").at(g).get<double>());
        phases.push_back(std::move(phase));
      }
    auto phase_plot = chart::lines("Level by saturation", "saturation", "", phases);
    phase_plot["xAxis"] = {{"type", "value"}, {"name", "saturation"}, {"scale", true}};
    page.charts(
        {chart::lines("Levels", "step", "", levels), chart::lines("Saturation", "step", "", saturation),
         chart::lines("Learning rates of ghosts", "step", "", rates), phase_plot},
        "How far each ghost is there; orthogonality x loss / ln(vocabulary) of the step; the learning rate "
        "of each "
        "ghost; and the path of level and saturation, from evaluation to evaluation.",
        280, 2);
    modx::io::table t{.columns = {{"Layer"}, {"Levels"}, {"Saturation"}, {"Orthogonality"}},
                      .caption = "After the last step."};
    for (std::size_t l = 0; l < o.layers; ++l) {
      const json at = state(log.back(), l);
      if (!at.is_null())
        t.rows.push_back({.cells = {std::to_string(l), at.at("levels").dump(),
                                    cell::number(at.at("saturation").get<double>(), 3),
                                    cell::number(at.at("orthogonality").get<double>(), 3)}});
    }
    page.table(t);
  }
  if (o.mode == "topk" && metrics.contains("load")) {
    page.section("Load of experts");
    std::vector<nlohmann::json> panels;
    modx::io::table information{.columns = {{"Layer"}, {"Bits"}},
                                .caption = "Mutual information of expert and domain."};
    for (std::size_t l = 0; l < o.layers; ++l) {
      const auto load = metrics.at("load").at(l).get<grid>();
      std::vector<std::string> domains;
      for (const auto& [name, p] : metrics.at("domain_perplexity").items()) domains.push_back(name);
      panels.push_back(
          chart::heat_map("Layer " + std::to_string(l), domains, names, "domain", "expert", load, 0, 1));
      information.rows.push_back({.cells = {std::to_string(l), cell::number(mutual_information(load), 3)}});
    }
    page.charts(panels, "Share of each domain's slots that an expert gets.", 260, 2);
    page.charts({chart::lines("Mutual information of expert and domain", "step", "bits",
                              by_layer("layer", [](const json& line,
                                                   std::size_t l) { return line.at("information").at(l); }))},
                "0 bits: the domain says nothing about the expert.", 260);
    page.table(information);
  }
  page.section("Options");
  page.code(to_json(o).dump(2));
  page.write(folder / "report.html", echarts);
}

}  // namespace moe_lm
