// ECharts options of the charts a report has: grouped bars, lines with error bands, heat maps, graphs.
// Colours are numbers that the page turns into a palette; series whose id begins with "band" or "whisker" are
// drawn by the page.
#pragma once
#include <algorithm>
#include <cmath>
#include <modx/error.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace modx::io::chart {

/// One named row of values; `sd` is empty or as long as `mean`, `x` is for lines; NaN is a gap.
struct series {
  std::string name;
  std::vector<double> mean;
  std::vector<double> sd{};
  std::vector<double> x{};
  int colour = 0;
  bool thin = false;  // one of many runs: faint, without legend or tooltip
  bool dashed = false;
};

namespace detail {

inline void same_size(const char* what, std::size_t expected, std::size_t found) {
  if (expected != found)
    throw error(std::string("io::chart: ") + what, std::to_string(expected) + " values",
                std::to_string(found));
}
inline nlohmann::json point(const series& s, std::size_t i, nlohmann::json value) {
  nlohmann::json p{{"value", std::move(value)}};
  if (i < s.sd.size()) p["sd"] = s.sd[i];
  return p;
}
/// Adds [x, mean - sd, mean + sd] a point, which the page draws under the series of that name.
inline void add_spread(nlohmann::json& option, const char* kind, const series& s,
                       const std::vector<double>& x) {
  same_size("sd", s.mean.size(), s.sd.size());
  nlohmann::json one{
      {"type", "custom"}, {"name", s.name}, {"colour", s.colour}, {"silent", true}, {"clip", true}};
  one["id"] = kind + std::to_string(option["series"].size());
  one["encode"] = {{"x", 0}, {"y", {1, 2}}};
  for (std::size_t i = 0; i < s.mean.size(); ++i)
    one["data"].push_back({x[i], s.mean[i] - s.sd[i], s.mean[i] + s.sd[i]});
  option["series"].push_back(std::move(one));
}
inline nlohmann::json frame(const std::string& title, const std::vector<series>& all) {
  nlohmann::json names = nlohmann::json::array();
  for (const series& s : all)
    if (!s.thin) names.push_back(s.name);
  return {{"title", {{"text", title}}},
          {"legend", {{"data", std::move(names)}}},
          {"tooltip", {{"trigger", "axis"}}},
          {"series", nlohmann::json::array()}};
}

}  // namespace detail

/// Bars side by side in each group, with a whisker of ± sd; throws modx::error unless a series has one value
/// a group.
inline nlohmann::json grouped_bars(const std::string& title, const std::vector<std::string>& groups,
                                   const std::string& y, const std::vector<series>& all) {
  nlohmann::json option = detail::frame(title, all);
  option["xAxis"] = {{"type", "category"}, {"data", groups}};
  option["yAxis"] = {{"type", "value"}, {"name", y}, {"scale", true}};
  option["zero_toggle"] = true;
  std::vector<double> index;
  while (index.size() < groups.size()) index.push_back(static_cast<double>(index.size()));
  for (const series& s : all) {
    detail::same_size("bars", groups.size(), s.mean.size());
    nlohmann::json data = nlohmann::json::array();
    for (std::size_t i = 0; i < s.mean.size(); ++i) data.push_back(detail::point(s, i, s.mean[i]));
    option["series"].push_back(
        {{"type", "bar"}, {"name", s.name}, {"colour", s.colour}, {"data", std::move(data)}});
    if (!s.sd.empty()) detail::add_spread(option, "whisker", s, index);
  }
  return option;
}

/// Lines over numbers, each with a band of ± sd; throws modx::error where x, mean and sd differ in length.
inline nlohmann::json lines(const std::string& title, const std::string& x, const std::string& y,
                            const std::vector<series>& all) {
  nlohmann::json option = detail::frame(title, all);
  option["xAxis"] = {{"type", "value"}, {"name", x}, {"min", "dataMin"}, {"max", "dataMax"}};
  const auto whole = [](double v) { return v == std::floor(v); };
  if (std::ranges::all_of(all, [&](const series& s) { return std::ranges::all_of(s.x, whole); }))
    option["xAxis"]["minInterval"] = 1;
  option["yAxis"] = {{"type", "value"}, {"name", y}, {"scale", true}};
  for (const series& s : all) {
    detail::same_size("lines: x", s.mean.size(), s.x.size());
    nlohmann::json data = nlohmann::json::array();
    for (std::size_t i = 0; i < s.mean.size(); ++i) data.push_back(detail::point(s, i, {s.x[i], s.mean[i]}));
    nlohmann::json line{{"type", "line"}, {"name", s.name}, {"colour", s.colour}, {"data", std::move(data)}};
    line["dashed"] = s.dashed, line["thin"] = s.thin;
    line["id"] = (s.thin ? "thin" : "line") + std::to_string(option["series"].size());
    option["series"].push_back(std::move(line));
    if (!s.sd.empty()) detail::add_spread(option, "band", s, s.x);
  }
  return option;
}

/// values[r][c] as colours from `low` to `high` with the numbers in the cells, row 0 on top; throws
/// modx::error unless it is rows x columns.
inline nlohmann::json heat_map(const std::string& title, const std::vector<std::string>& rows,
                               const std::vector<std::string>& columns, const std::string& y,
                               const std::string& x, const std::vector<std::vector<double>>& values,
                               double low, double high) {
  nlohmann::json data = nlohmann::json::array();
  detail::same_size("heat map: rows", rows.size(), values.size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    detail::same_size("heat map: columns", columns.size(), values[r].size());
    for (std::size_t c = 0; c < columns.size(); ++c) data.push_back({{"value", {c, r, values[r][c]}}});
  }
  nlohmann::json option{{"title", {{"text", title}}}, {"tooltip", {{"trigger", "item"}}}};
  option["xAxis"] = {{"type", "category"}, {"data", columns}, {"name", x}};
  option["yAxis"] = {{"type", "category"}, {"data", rows}, {"name", y}, {"inverse", true}};
  option["visualMap"] = {{"min", low}, {"max", high}, {"show", false}};
  option["series"].push_back({{"type", "heatmap"}, {"name", title}, {"data", std::move(data)}});
  return option;
}

/// The nodes on a circle, an arrow from c to r for each values[r][c] > 0 but those on the diagonal, as wide
/// as the value; throws modx::error unless there are nodes x nodes values.
inline nlohmann::json graph(const std::string& title, const std::vector<std::string>& nodes,
                            const std::vector<std::vector<double>>& values) {
  nlohmann::json series{{"type", "graph"},
                        {"name", title},
                        {"data", nlohmann::json::array()},
                        {"links", nlohmann::json::array()}};
  detail::same_size("graph: rows", nodes.size(), values.size());
  for (std::size_t r = 0; r < nodes.size(); ++r) {
    detail::same_size("graph: columns", nodes.size(), values[r].size());
    series["data"].push_back({{"name", nodes[r]}});
    for (std::size_t c = 0; c < nodes.size(); ++c)
      if (r != c && values[r][c] > 0)
        series["links"].push_back({{"source", c}, {"target", r}, {"value", values[r][c]}});
  }
  return {{"title", {{"text", title}}}, {"tooltip", {{"trigger", "item"}}}, {"series", {std::move(series)}}};
}

}  // namespace modx::io::chart
