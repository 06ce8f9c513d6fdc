// UTF-8 from strangers: where it stops being UTF-8, and what a reader that must go on puts there (Unicode 15,
// section 3.9).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace modx::text {

/// What stands in `text` at byte `i`: `size` bytes that are one character, or that begin none (`valid` false)
/// and are the longest start of one, at least 1; `partial` says that only the end of the text cut it off.
struct utf8_unit {
  std::size_t size = 1;
  bool valid = true, partial = false;
};

inline utf8_unit utf8_at(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned first = byte(i);
  if (first < 0x80) return {};
  if (first < 0xc2 || first > 0xf4) return {1, false, false};
  const std::size_t wanted = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  // The second byte excludes overlong forms, surrogates, and what is above U+10FFFF.
  const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  for (std::size_t k = 1; k < wanted; ++k) {
    if (i + k == text.size()) return {k, false, true};
    const unsigned b = byte(i + k);
    if (b < (k == 1 ? low : 0x80u) || b > (k == 1 ? high : 0xbfu)) return {k, false, false};
  }
  return {wanted, true, false};
}

/// The first byte at or after `i` that is not ASCII; the text's size if there is none.
inline std::size_t skip_ascii(std::string_view text, std::size_t i) {
  for (std::uint64_t eight = 0; i + 8 <= text.size(); i += 8) {
    std::memcpy(&eight, text.data() + i, 8);
    if (eight & 0x8080808080808080u) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

/// Where the first byte is that belongs to no character, or npos.
inline std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t i = skip_ascii(text, 0); i < text.size(); i = skip_ascii(text, i)) {
    const auto unit = utf8_at(text, i);
    if (!unit.valid) return i;
    i += unit.size;
  }
  return text.npos;
}

/// The text with one U+FFFD for each longest start of a character that is none, as browsers and Python's
/// "replace" have it.
inline std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto unit = utf8_at(text, i);
    if (unit.valid)
      out += text.substr(i, unit.size);
    else
      out += "\xef\xbf\xbd";
    i += unit.size;
  }
  return out;
}

}  // namespace modx::text
