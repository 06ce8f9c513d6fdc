// metrics.json of a run as a table on screen and as report.html.
#pragma once
#include <cstdio>
#include <modx/io/report.hpp>

#include "../red/report/curves.hpp"
#include "measure.hpp"

namespace step_decomposer {

/// A mode's name, what it is, and where the programs come from.
struct mode_text {
  const char *name, *title, *note;
};
inline const std::vector<mode_text>& mode_texts() {
  static const std::vector<mode_text> all = {
      {"exact", "Exact arithmetic", "each step calculated: what the programs allow"},
      {"base", "Base head", "the encoder's own head"},
      {"all_fixed", "All fixed", "base + 0.1 x the SUM of both experts, as published"},
      {"moe", "MoE, published way", "RED's experts unscaled under a router trained on answers"},
      {"red", "RED", "base + 0.1 x experts weighted by a router trained on + and -"}};
  return all;
}
/// "all", "2 steps", ...
inline std::string length_title(const std::string& key) {
  return key == "all" ? key : key + (key == "1" ? " step" : " steps");
}

inline void print_table(const json& m) {
  const json& programs = m.at("programs");
  std::printf("%-32s", "on test expressions");
  for (const auto& [key, p] : programs.items()) std::printf(" %9s", length_title(key).c_str());
  const auto line = [&](const std::string& name, const json& row, const char* what) {
    std::printf("\n%-32s", name.c_str());
    for (const auto& [key, p] : programs.items()) std::printf(" %9.4f", row.at(key).at(what).get<double>());
  };
  line("programs exact", programs, "exact");
  for (const auto& t : mode_texts())
    line(std::string("answers right, ") + t.name, m.at("answers").at(t.name), "acc");
  for (const auto& t : mode_texts())
    line(std::string("macro-F1, ") + t.name, m.at("answers").at(t.name), "macro_f1");
  std::printf("\n");
  for (const auto& [name, count] : programs.at("all").at("failures").items())
    std::printf("%.0f programs could not be read: %s\n", count.get<double>(), name.c_str());
  std::printf("steps that are training questions of the experts: %.4f\n", m.at("steps_seen").get<double>());
  std::printf("one-step questions right (unseen):");
  for (const auto& [mode, acc] : m.at("questions").items())
    std::printf(" %s %.4f", mode.c_str(), acc.get<double>());
  std::printf("\n");
}

inline void write_report(const std::filesystem::path& file, const json& config, const json& m,
                         const std::vector<nlohmann::json>& log, const std::string& echarts) {
  using modx::io::best, modx::io::cell;
  modx::io::report page("Step decomposer: programs by a language model, steps by experts",
                        "Seed " + config.at("options").at("seed").dump() + ", " +
                            m.at("programs").at("all").at("count").dump() + " test expressions");
  for (const auto& c : m.at("checks"))
    page.check(c.at("name").get<std::string>(), c.at("ok").get<bool>(), c.at("detail").get<std::string>());
  const auto table = [&](std::vector<modx::io::column> columns, best mark, const std::string& caption, auto&& rows) {
    for (const auto& [key, p] : m.at("programs").items())
      columns.push_back({length_title(key), mark});
    modx::io::table t{.columns = std::move(columns), .caption = caption};
    rows(t);
    page.table(t);
  };
  const auto add = [&](modx::io::table& t, std::vector<cell> cells, const json& row, const char* what, bool competes = true) {
    for (const auto& [key, p] : m.at("programs").items())
      cells.push_back(cell::number(row.at(key).at(what).get<double>(), 4));
    t.rows.push_back({.cells = std::move(cells), .competes = competes});
  };
  const auto add_modes = [&](modx::io::table& t, const json& answers, const char* what) {
    for (const auto& mode : mode_texts())  // arithmetic is what the others are measured by
      add(t, {mode.title, mode.note}, answers[mode.name], what, mode.name != std::string("exact"));
  };
  page.section("Programs");
  table({{"Share"}}, best::none,
        "Of the test expressions, by number of steps. Exact: the program of the expression, character by "
        "character.",
        [&](auto& t) {
          add(t, {"exact"}, m["programs"], "exact"), add(t, {"a program at all"}, m["programs"], "read");
        });
  std::vector<std::string> failures;
  for (const auto& [name, count] : m.at("programs").at("all").at("failures").items())
    failures.push_back(count.dump() + " x " + name);
  if (failures.empty())
    page.paragraph("Every text was a program.");
  else
    page.paragraph("Texts that are no program, by the first thing wrong:"), page.bullets(failures);
  page.section("Answers");
  for (const auto& [what, caption] :
       {std::pair(
            "acc",
            "Accuracy of the answer: every step answered by the mode, on the programs as they were written."),
        std::pair("macro_f1",
                  "Macro-F1: mean over the answers that occur; no answer, or one outside 2 to 100, is a "
                  "wrong one of no class.")})
    table({{"Mode"}, {"Each step is"}}, best::highest, caption, [&, key = what](auto& t) { add_modes(t, m["answers"], key); });
  table({{"Mode"}, {"Each step is"}}, best::highest, "Accuracy of the answer on the right programs: what the steps alone cost.",
        [&](auto& t) { add_modes(t, m["answers_of_right_programs"], "acc"); });
  page.section("Steps");
  modx::io::table steps{.columns = {{"Mode"}, {"One-step questions right", best::highest}},
                        .caption = "Questions in no training text."};
  for (const auto& [mode, acc] : m.at("questions").items())
    steps.rows.push_back({.cells = {mode, cell::number(acc.get<double>(), 4)}});
  page.table(steps);
  char line[120];
  std::snprintf(line, sizeof line,
                "Of the test programs' steps %.1f %% ask a question that the experts were trained on.",
                100 * m.at("steps_seen").get<double>());
  page.paragraph(line);
  red::report_part::training(page, log);
  page.section("Configuration");
  page.code(config.dump(2));
  page.write(file, echarts);
}

}  // namespace step_decomposer
