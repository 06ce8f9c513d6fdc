// JSON text from a file: budgets checked before any parser sees it, and a strict parser into nlohmann::json.
#pragma once
#include <cstdint>
#include <modx/io/io_error.hpp>
#include <modx/io/json_builder.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace modx::io {

struct json_limits {
  std::size_t depth = 64;          ///< of brackets
  std::size_t string = 16u << 20;  ///< bytes between two quotes, escapes not yet undone
  std::size_t number = 64;         ///< characters
  std::size_t values = 10'000'000;
};

/// Throws json_too_deep, string_too_long, number_too_long or bad_json (a NUL byte or a byte-order mark), the
/// things that nlohmann's parser accepts or grows on; all else is the parser's business.  `base` is where
/// `text` begins in `file`.
inline void check_json_budget(std::string_view text, const std::filesystem::path& file,
                              std::uint64_t base = 0, const json_limits& limits = {}) {
  const auto fail = [&](const char* code, std::size_t at, const std::string& expected,
                        const std::string& found) { throw io_error(code, file, base + at, expected, found); };
  if (text.starts_with("\xef\xbb\xbf")) fail("bad_json", 0, "JSON", "a byte-order mark");
  std::size_t depth = 0, string_begin = 0, number = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\0') fail("bad_json", i, "JSON", "a NUL byte");
    if (in_string) {
      if (c == '\\' && i + 1 < text.size() && text[i + 1] != '\0') ++i;
      if (c == '"') in_string = false;
      if (i - string_begin > limits.string)
        fail("string_too_long", string_begin,
             "a string of at most " + std::to_string(limits.string) + " bytes", "more");
      continue;
    }
    const bool numeric = (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
    number = numeric ? number + 1 : 0;
    if (number > limits.number)
      fail("number_too_long", i - number + 1,
           "a number of at most " + std::to_string(limits.number) + " characters", "more");
    if (c == '"') in_string = true, string_begin = i + 1;
    if ((c == '[' || c == '{') && ++depth > limits.depth)
      fail("json_too_deep", i, "at most " + std::to_string(limits.depth) + " levels of brackets", "more");
    if ((c == ']' || c == '}') && depth > 0) --depth;
  }
}

/// The value of `text`; beside check_json_budget's errors throws bad_json, duplicate_key and too_many_values.
inline nlohmann::json parse_json(std::string_view text, const std::filesystem::path& file,
                                 const json_limits& limits = {}) {
  check_json_budget(text, file, 0, limits);
  detail::json_builder tree(text, file, 0, limits.values);
  tree.parse(tree);
  return std::move(tree.root);
}

/// `value` as text; throws bad_json for a string that is not UTF-8.  NaN and infinities become null, as JSON
/// has none.
inline std::string json_text(const nlohmann::json& value, const std::filesystem::path& file,
                             int indent = -1) {
  try {
    return value.dump(indent);
  } catch (const nlohmann::json::exception& e) {
    throw io_error("bad_json", file, 0, "strings in UTF-8", show(e.what()));
  }
}

}  // namespace modx::io
