// Unicode's normal form C: decompose, order the marks, compose (UAX #15), by utf8proc's tables.
#pragma once
#include <utf8proc.h>

#include <algorithm>
#include <modx/error.hpp>
#include <modx/text/utf8.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace modx::text {

/// Whether a glance shows that the text is in form C: all of it below U+0300.
inline bool surely_nfc(std::string_view text) {
  for (std::size_t i = skip_ascii(text, 0); i < text.size(); i = skip_ascii(text, i)) {
    if (static_cast<unsigned char>(text[i]) >= 0xcc) return false;
    i += 2;
  }
  return true;
}

namespace detail {

/// Appends `text` in form C to `out`.
inline void append_nfc(std::string_view text, std::string& out) {
  constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto fail = [](utf8proc_ssize_t code) {
    throw error("text::nfc", "text that utf8proc can normalise", utf8proc_errmsg(code));
  };
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size() + 4);
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (auto left = static_cast<utf8proc_ssize_t>(text.size()); left > 0;) {
    utf8proc_int32_t point = 0, parts[8];
    const auto size = utf8proc_iterate(at, left, &point);
    if (size < 0) fail(size);
    at += size, left -= size;
    int boundary = 0;
    const auto count = utf8proc_decompose_char(point, parts, 8, options, &boundary);
    if (count < 0 || count > 8) fail(count < 0 ? count : UTF8PROC_ERROR_OVERFLOW);
    points.insert(points.end(), parts, parts + count);
  }
  const auto mark = [&](std::size_t i) {
    return static_cast<std::uint64_t>(utf8proc_get_property(points[i])->combining_class);
  };
  std::vector<std::uint64_t> keys;                   // class, place, point
  for (std::size_t i = 0; i < points.size(); ++i) {  // utf8proc's own sort is quadratic
    const std::size_t first = i;
    for (keys.clear(); i < points.size() && mark(i) != 0; ++i)
      keys.push_back(mark(i) << 53 | std::uint64_t{i} << 21 | static_cast<std::uint64_t>(points[i]));
    std::sort(keys.begin(), keys.end());
    for (std::size_t k = 0; k < keys.size(); ++k)
      points[first + k] = static_cast<utf8proc_int32_t>(keys[k] & 0x1fffff);
  }
  const auto count =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()), options);
  if (count < 0) fail(count);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    utf8proc_uint8_t bytes[4];
    const auto size = utf8proc_encode_char(points[i], bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  }
}

}  // namespace detail

/// `text`, which must be UTF-8, in form C; time is n log n, also where a million marks stand on one letter.
inline std::string nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto low = [&](std::size_t i) { return static_cast<unsigned char>(text[i]) < 0xcc; };
  std::size_t done = 0;
  for (std::size_t i = skip_ascii(text, 0); i < text.size(); i = skip_ascii(text, i)) {
    if (low(i)) {
      i += 2;
      continue;
    }
    // What is below U+0300 begins afresh, so the text may be cut before it.
    std::size_t begin = i, end = i;
    if (begin > done) --begin;
    while (begin > done && (text[begin] & 0xc0) == 0x80) --begin;
    while (end < text.size() && !low(end)) end += utf8_at(text, end).size;
    out += text.substr(done, begin - done);
    detail::append_nfc(text.substr(begin, end - begin), out);
    done = i = end;
  }
  return out += text.substr(done);
}

}  // namespace modx::text
