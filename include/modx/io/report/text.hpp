// Text, numbers and JSON as they may stand in an HTML page, whatever the names in them.
#pragma once
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace modx::io {

/// `text` as HTML text or attribute value: & < > " ' are escaped, control characters replaced.
inline std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\n':
      case '\t':
        out += c;
        break;
      default:
        if ((c >= 0 && c < 32) || c == 127)
          out += "\xEF\xBF\xBD";
        else
          out += c;
    }
  }
  return out;
}

/// `value` as ASCII JSON that no HTML parser can leave: < > & are \u escapes, broken UTF-8 is replaced.
inline std::string script_json(const nlohmann::json& value) {
  const std::string plain = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string out;
  out.reserve(plain.size());
  for (char c : plain) {
    switch (c) {  // only inside strings can these stand
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// `script` with every "</script" and "<!--" (in strings or regular expressions, where a backslash is
/// harmless) cut.
inline std::string script_text(std::string_view script) {
  constexpr std::string_view tag = "</script";
  std::string out;
  out.reserve(script.size());
  for (std::size_t i = 0; i < script.size(); ++i) {
    out += script[i];
    if (script[i] != '<') continue;
    const std::string_view rest = script.substr(i);
    bool closes = rest.size() >= tag.size();
    for (std::size_t k = 0; closes && k < tag.size(); ++k) {
      const char c = rest[k];
      closes = (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) == tag[k];
    }
    if (closes || rest.starts_with("<!--")) out += '\\';
  }
  return out;
}

/// `value` with `digits` after the point in any locale; large and tiny ones as 1.2e+06, missing ones (NaN) as
/// "nan".
inline std::string show_number(double value, int digits = 4) {
  std::array<char, 64> buffer{};
  const double size = std::abs(value);
  const bool scientific = std::isfinite(value) && size >= 1e7;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 scientific ? std::chars_format::scientific : std::chars_format::fixed,
                                 scientific ? 3 : std::min(std::max(digits, 0), 17));
  return std::isfinite(value) ? std::string(buffer.data(), end.ptr)
         : std::isnan(value)  ? "nan"
         : value < 0          ? "-inf"
                              : "inf";
}

/// 428738 as "428,738".
inline std::string show_count(std::int64_t count) {
  std::string s = std::to_string(count);
  for (std::size_t i = s.size(); i > (count < 0 ? 4u : 3u);) s.insert(i -= 3, ",");
  return s;
}

}  // namespace modx::io
