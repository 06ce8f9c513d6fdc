// What programs and their execution score, by number of steps: exact programs, answers, macro-F1, and what
// went wrong.
#pragma once
#include <modx/analysis/classification.hpp>

#include "../arithmetic/files.hpp"
#include "program.hpp"

namespace step_decomposer {

using json = nlohmann::ordered_json;

/// {"all": f(every i), "2": f(those of two steps), ...}.
template <class F>
json by_steps(const std::vector<arithmetic::expression>& gold, F&& f) {
  std::map<std::size_t, std::vector<std::size_t>> groups;
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < gold.size(); ++i) all.push_back(i), groups[gold[i].op.size()].push_back(i);
  json out{{"all", f(all)}};
  for (const auto& [steps, own] : groups) out[std::to_string(steps)] = f(own);
  return out;
}

/// Programs: {"count", "exact", "read", "failures": {name: count}}; exact: the expression's own program,
/// character by character.
inline json score_programs(const std::vector<arithmetic::expression>& gold,
                           const std::vector<reading>& found) {
  return by_steps(gold, [&](const std::vector<std::size_t>& own) {
    std::map<std::string, std::size_t> failures;
    std::size_t exact = 0, read = 0;
    for (const auto i : own) {
      read += found[i].program.has_value();
      exact += found[i].program == gold[i];
      if (!found[i].program) ++failures[found[i].failure];
    }
    const double n = double(std::max<std::size_t>(1, own.size()));
    return json{{"count", own.size()},
                {"exact", double(exact) / n},
                {"read", double(read) / n},
                {"failures", failures}};
  });
}

/// Answers: {"acc", "macro_f1", "none"}.  Macro-F1 is the mean over the answers that occur, each the F1 of
/// its class; no answer, or one outside 2 to 100, is a wrong one of no class, and "none" counts these.
inline json score_answers(const std::vector<arithmetic::expression>& gold,
                          const std::vector<std::vector<std::optional<int>>>& results) {
  return by_steps(gold, [&](const std::vector<std::size_t>& own) {
    modx::analysis::confusion counts(arithmetic::classes + 1);
    std::size_t none = 0;
    for (const auto i : own) {
      const auto answer = results[i].empty() ? std::nullopt : results[i].back();
      const bool known = answer && *answer >= arithmetic::least_answer && *answer <= arithmetic::most_answer;
      none += !known;
      counts.add(*gold[i].value() - arithmetic::least_answer,
                 known ? *answer - arithmetic::least_answer : std::int64_t(arithmetic::classes));
    }
    const auto s = counts.evaluate();
    return json{{"acc", s.accuracy}, {"macro_f1", s.macro_f1}, {"none", none}};
  });
}

}  // namespace step_decomposer
