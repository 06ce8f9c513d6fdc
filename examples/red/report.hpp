// report.html of a run: checks, results, domains, training, routing, noise, recomposition, timing,
// configuration, notes.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "report/curves.hpp"
#include "report/experiments.hpp"
#include "report/results.hpp"

namespace red {

/// The report; a section whose data is absent is left out.  Throws modx::error where an entry has the wrong
/// kind or size.
inline modx::io::report make_report(const task& about, const nlohmann::ordered_json& config,
                                    const nlohmann::ordered_json& metrics,
                                    const std::vector<nlohmann::json>& log) {
  using namespace report_part;
  const node m(metrics, "metrics.json");
  if (const std::int64_t format = m.at("format").integer(); format != 1)
    throw modx::error("metrics.json.format", "1", std::to_string(format));
  context c{m, {}, m.at("domains").texts(), about.domain_word, about.router_row};
  if (const auto modes = m.find("modes")) c.modes = modes_in_order(*modes);

  std::string under;
  if (const auto profile = m.find("profile")) under = "Profile " + profile->text() + ", ";
  const auto seeds = m.at("seeds").items();
  under += seeds.size() == 1 ? "seed " : "seeds ";
  for (const node& s : seeds) under += (under.back() == ' ' ? "" : ", ") + std::to_string(s.integer());
  modx::io::report page(about.title, under);
  if (const auto checks = m.find("checks"))
    for (const node& k : checks->items())
      page.check(k.at("name").text(), k.at("ok").flag(), k.find("detail") ? k.at("detail").text() : "");
  results(c, page);
  domains(c, page);
  training(page, log);
  routing(c, page);
  noise(c, page);
  recomposition(c, page);
  timing(c, page);
  configuration(config, page);
  notes(c, page);
  return page;
}

/// Writes run_dir/report.html, all or nothing; without a readable `echarts_js` it has no charts and says so.
inline void write_report(const task& about, const std::filesystem::path& run_dir,
                         const nlohmann::ordered_json& config, const nlohmann::ordered_json& metrics,
                         const std::vector<nlohmann::json>& log, const std::filesystem::path& echarts_js) {
  make_report(about, config, metrics, log).write(run_dir / "report.html", echarts_js);
}

}  // namespace red
