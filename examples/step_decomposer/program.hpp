// Programs as text and what they are made to say: a strict reading, and a run of them step by step.
#pragma once
#include <functional>
#include <modx/shape.hpp>
#include <span>

#include "../arithmetic/questions.hpp"

namespace step_decomposer {

/// The expression that a program computes, or why the text is no program.
struct reading {
  std::optional<arithmetic::expression> program;
  std::string failure;
};

/// Reads "Step 1: 12 + 8 = x1\nStep 2: x1 - 3 = x2\nAnswer: x2" and nothing else: steps in order, each on the
/// last one's result.
inline reading read_program(std::string_view text) {
  using arithmetic::operation;
  arithmetic::expression e;
  std::size_t step = 0;
  const std::string_view all = text;
  const auto eat = [&](const std::string& part) {
    return text.starts_with(part) ? (text.remove_prefix(part.size()), true) : false;
  };
  const auto variable = [](std::size_t i) { return "x" + std::to_string(i); };
  const auto number = [&] {
    const auto end = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto value = arithmetic::parse_number(text.substr(0, end));
    if (value) e.operand.push_back(*value), text.remove_prefix(end);
    return value.has_value();
  };
  while (eat("Step ")) {
    ++step;
    if (!eat(std::to_string(step) + ": ")) return {{}, "a step out of order"};
    if (step == 1 ? !number() : !eat(variable(step - 1))) return {{}, "a wrong left operand"};
    if (eat(" + "))
      e.op.push_back(operation::add);
    else if (eat(" - "))
      e.op.push_back(operation::sub);
    else
      return {{}, "no + or -"};
    if (!number()) return {{}, "a wrong right operand"};
    if (!eat(" = " + variable(step) + "\n")) return {{}, "a wrong result"};
  }
  if (step == 0) return {{}, "no step"};
  if (!eat("Answer: ")) return {{}, "no answer"};
  if (!eat(variable(step)) || (!text.empty() && text[0] >= '0' && text[0] <= '9'))
    return {{}, "an answer that is not the last result"};
  if (!text.empty()) return {{}, "text after the answer"};
  if (arithmetic::program_of(e) != all) return {{}, "a number with leading zeros"};
  return {e, ""};
}

/// Answers of one-step expressions; nothing for one that has none.
using answerer = std::function<std::vector<std::optional<int>>(std::span<const arithmetic::expression>)>;

/// What programs come to when `answer` does each step on the results of the one before, all programs' next
/// steps together. A program that is none, or a step without an answer, has no result.
inline std::vector<std::vector<std::optional<int>>> execute(
    std::span<const std::optional<arithmetic::expression>> programs, const answerer& answer) {
  std::vector<std::vector<std::optional<int>>> results(programs.size());
  std::size_t longest = 0;
  for (const auto& p : programs) longest = std::max(longest, p ? p->op.size() : 0);
  for (std::size_t step = 0; step < longest; ++step) {
    std::vector<arithmetic::expression> asked;
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < programs.size(); ++i) {
      if (!programs[i] || step >= programs[i]->op.size()) continue;
      const auto left = step ? results[i].back() : std::optional(programs[i]->operand[0]);
      if (left)
        asked.push_back({{*left, programs[i]->operand[step + 1]}, {programs[i]->op[step]}}), of.push_back(i);
      else
        results[i].push_back({});
    }
    if (asked.empty()) continue;
    const auto answers = answer(asked);
    modx::expect_equal("execute", "answers", asked.size(), answers.size());
    for (std::size_t k = 0; k < of.size(); ++k) results[of[k]].push_back(answers[k]);
  }
  return results;
}
/// The control: exact arithmetic.
inline std::vector<std::optional<int>> exact(std::span<const arithmetic::expression> steps) {
  std::vector<std::optional<int>> out;
  for (const auto& s : steps) out.push_back(s.value());
  return out;
}

}  // namespace step_decomposer
