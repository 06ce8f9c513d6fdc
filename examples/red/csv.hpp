// metrics.json as one table for a spreadsheet: mode, split, metric, mean, sd, one column a seed (RFC 4180).
#pragma once
#include <filesystem>
#include <modx/io/file.hpp>
#include <string>
#include <string_view>

#include "report/node.hpp"

namespace red {
namespace report_part {

/// Builds the lines of metrics.csv.
class csv_writer {
 public:
  /// `seeds` names the columns of the values.
  explicit csv_writer(const std::vector<std::string>& seeds) : seeds_(seeds.size()) {
    text_ = "mode,split,metric,mean,sd";
    for (const std::string& s : seeds) text_ += "," + quoted("seed " + s);
    text_ += "\r\n";
  }
  /// A figure over seeds; throws modx::error unless it has one value a seed.
  void add(std::string_view mode, std::string_view split, std::string_view metric, const node& figure) {
    const auto s = figure.figure();
    if (s.values.size() != seeds_)
      throw modx::error(figure.where() + ".values", std::to_string(seeds_) + " (one a seed)",
                        std::to_string(s.values.size()));
    line(mode, split, metric, s.mean, shortest(s.sd));
    for (double v : s.values) text_ += "," + shortest(v);
    text_ += "\r\n";
  }
  /// A number that is the same for every seed.
  void add(std::string_view mode, std::string_view split, std::string_view metric, double value) {
    line(mode, split, metric, value, "");
    text_ += std::string(seeds_, ',') + "\r\n";
  }
  const std::string& text() const { return text_; }

  /// A field, in quotes where it holds a comma, a quote or a line break.
  static std::string quoted(std::string_view field) {
    if (field.find_first_of(",\"\r\n") == field.npos) return std::string(field);
    std::string out = "\"";
    for (char c : field) out.append(c == '"' ? 2 : 1, c);
    return out + "\"";
  }

 private:
  void line(std::string_view mode, std::string_view split, std::string_view metric, double mean,
            const std::string& sd) {
    text_ += quoted(mode) + "," + quoted(split) + "," + quoted(metric) + "," + shortest(mean) + "," + sd;
  }

  std::size_t seeds_;
  std::string text_;
};

}  // namespace report_part

/// All figures of metrics.json as CSV (confusion counts are left to the JSON); throws modx::error for a wrong
/// schema.
inline std::string metrics_csv(const nlohmann::ordered_json& metrics) {
  using namespace report_part;
  const node m(metrics, "metrics.json");
  std::vector<std::string> seeds;
  for (const node& s : m.at("seeds").items()) seeds.push_back(std::to_string(s.integer()));
  const auto domains = m.at("domains").texts();
  csv_writer csv(seeds);
  const auto per_domain = [&](const std::string& mode, const std::string& split, const std::string& what,
                              const node& list) {
    const auto items = list.items(domains.size());
    for (std::size_t d = 0; d < items.size(); ++d)
      csv.add(mode, split, what + "[" + domains[d] + "]", items[d]);
  };
  for (const auto& [mode, entry] : modes_in_order(m.at("modes"))) {
    if (const auto count = entry.find("parameters")) csv.add(mode, "", "parameters", count->number());
    for (const std::string split : {"train", "val", "test"})
      if (const auto figures = entry.find(split))
        for (const auto& [metric, value] : figures->members()) {
          if (value.raw().is_object()) csv.add(mode, split, metric, value);
          if (metric == "per_domain_acc") per_domain(mode, split, metric, value);
          if (!metric.starts_with("per_class_")) continue;
          for (std::size_t c = 0; const node& item : value.items())
            csv.add(mode, split, metric + "[" + std::to_string(c++) + "]", item);
        }
  }
  if (const auto router = m.find("router")) {
    if (const auto acc = router->find("domain_acc")) csv.add("router", "test", "domain_acc", *acc);
    if (const auto matrices = router->find("routing_matrix"))
      for (const auto& [mode, matrix] : modes_in_order(*matrices))
        for (std::size_t d = 0; const node& row : matrix.items(domains.size())) {
          const std::string from = "gate[" + domains[d++] + "][expert ";
          for (std::size_t e = 0; double gate : row.numbers())
            csv.add(mode, "test", from + std::to_string(e++) + "]", gate);
        }
  }
  if (const auto noise = m.find("noise"))
    for (const node& kind : noise->items()) {
      const auto levels = kind.at("levels").numbers();
      for (const auto& [mode, figures] : modes_in_order(kind.at("modes")))
        for (std::size_t i = 0; const node& figure : figures.items(levels.size()))
          csv.add(mode, "test", "noise " + kind.at("kind").text() + "=" + shortest(levels[i++]), figure);
    }
  if (const auto recomposition = m.find("recomposition"))
    for (const node& r : recomposition->at("rows").items()) {
      csv.add(r.at("name").text(), "test", "recomposition acc", r.at("acc"));
      if (const auto list = r.find("per_domain_acc"))
        per_domain(r.at("name").text(), "test", "recomposition per_domain_acc", *list);
    }
  if (const auto timing = m.find("timing"))
    for (const auto& [stage, seconds] : timing->members()) csv.add(stage, "", "seconds", seconds);
  return csv.text();
}

/// Writes run_dir/metrics.csv, all or nothing; throws modx::error.
inline void write_csv(const std::filesystem::path& run_dir, const nlohmann::ordered_json& metrics) {
  modx::io::write_file(run_dir / "metrics.csv", metrics_csv(metrics));
}

}  // namespace red
