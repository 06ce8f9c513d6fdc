// Sums, differences, products and quotients from left to right: "12 plus 8 minus 3" or "12 + 8 - 3", and
// their programs.
#pragma once
#include <array>
#include <charconv>
#include <cstdint>
#include <modx/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arithmetic {

enum class operation : unsigned char { add, sub, mul, div };

/// How an operation is named in files, in words and as a sign.
struct operation_names {
  const char *file, *word, *sign;
};
inline const operation_names& names_of(operation op) {
  static constexpr operation_names all[] = {
      {"add", "plus", "+"}, {"sub", "minus", "-"}, {"mul", "times", "*"}, {"div", "divided by", "/"}};
  return all[std::size_t(op)];
}
inline constexpr std::array operations_known{operation::add, operation::sub, operation::mul, operation::div};

/// left op right; nothing for a division that leaves a rest or a value beyond 10^9.
inline std::optional<int> apply(int left, operation op, int right) {
  if (op == operation::div)
    return right != 0 && left % right == 0 ? std::optional(left / right) : std::nullopt;
  const std::int64_t a = left, b = right,
                     value = op == operation::add   ? a + b
                             : op == operation::sub ? a - b
                                                    : a * b;
  return value >= -1'000'000'000 && value <= 1'000'000'000 ? std::optional(int(value)) : std::nullopt;
}

/// operand[0] op[0] operand[1] op[1] ...
struct expression {
  std::vector<int> operand;
  std::vector<operation> op;
  bool operator==(const expression&) const = default;

  /// Its value, or nothing where apply() gives none.
  std::optional<int> value() const {
    std::optional<int> v = operand.at(0);
    for (std::size_t i = 0; v && i < op.size(); ++i) v = apply(*v, op[i], operand[i + 1]);
    return v;
  }
  /// "12 plus 8", or with signs "12 + 8".
  std::string text(bool words = true) const {
    std::string out = std::to_string(operand.at(0));
    for (std::size_t i = 0; i < op.size(); ++i) {
      const auto& n = names_of(op[i]);
      out += std::string(" ") + (words ? n.word : n.sign) + " " + std::to_string(operand[i + 1]);
    }
    return out;
  }
};

/// A whole number of at most six digits, "-" before it or not; nothing for other text.
inline std::optional<int> parse_number(std::string_view text) {
  int value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  return whole && text.size() <= 7 && value > -1'000'000 && value < 1'000'000 ? std::optional(value)
                                                                              : std::nullopt;
}

/// Reads what text() writes, in words or signs, one space between; throws modx::error naming `where`.
inline expression parse_expression(std::string_view text, const std::string& where = "the expression") {
  expression e;
  std::size_t at = 0;
  const auto bad = [&](const std::string& expected) {
    const auto rest = std::string(text.substr(at, 40));
    throw modx::error(where + ", character " + std::to_string(at + 1), expected,
                      rest.empty() ? "its end" : "\"" + rest + "\"");
  };
  const auto number = [&] {
    const auto end = std::min(text.find(' ', at), text.size());
    const auto value = parse_number(text.substr(at, end - at));
    if (!value) bad("a whole number of at most six digits");
    e.operand.push_back(*value);
    at = end;
  };
  number();
  while (at < text.size()) {
    bool found = false;
    for (const auto op : operations_known)
      for (const std::string name : {names_of(op).word, names_of(op).sign})
        if (!found && text.substr(at).starts_with(" " + name + " ")) {
          e.op.push_back(op);
          at += name.size() + 2;
          found = true;
        }
    if (!found) bad("\" plus \", \" minus \", \" times \", \" divided by \" or a sign between spaces");
    number();
  }
  return e;
}

/// "Step 1: 12 + 8 = x1\nStep 2: x1 - 3 = x2\nAnswer: x2": a step an operation, no values.
inline std::string program_of(const expression& e) {
  std::string out;
  const auto variable = [](std::size_t i) { return "x" + std::to_string(i); };
  for (std::size_t i = 0; i < e.op.size(); ++i)
    out += "Step " + std::to_string(i + 1) + ": " + (i ? variable(i) : std::to_string(e.operand[0])) + " " +
           names_of(e.op[i]).sign + " " + std::to_string(e.operand[i + 1]) + " = " + variable(i + 1) + "\n";
  return out + "Answer: " + variable(e.op.size());
}

}  // namespace arithmetic
