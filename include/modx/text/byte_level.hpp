// The byte alphabet of GPT-2: each byte as one visible character, so that a vocabulary of bytes is readable
// JSON.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace modx::text {

/// The character that stands for a byte: itself where it is visible in Latin-1, else the next one from U+0100
/// on.
inline constexpr std::array<std::uint16_t, 256> byte_characters = [] {
  std::array<std::uint16_t, 256> all{};
  std::uint16_t next = 0x100;
  for (std::uint16_t b = 0; b < 256; ++b) {
    const bool visible = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    all[b] = visible ? b : next++;
  }
  return all;
}();

/// A byte's character in UTF-8.
inline std::string byte_character(unsigned char byte) {
  const unsigned c = byte_characters[byte];
  if (c < 0x80) return {static_cast<char>(c)};
  return {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
}

/// Appends the bytes that `token` stands for to `out`; false, with `out` as it was, where a character is none
/// of a byte.
inline bool append_bytes_of(std::string_view token, std::string& out) {
  static constexpr auto bytes = [] {
    std::array<std::int16_t, 0x144> all{};
    all.fill(-1);
    for (std::int16_t b = 0; b < 256; ++b) all[byte_characters[static_cast<std::size_t>(b)]] = b;
    return all;
  }();
  const std::size_t before = out.size();
  for (std::size_t i = 0; i < token.size(); ++i) {
    unsigned c = static_cast<unsigned char>(token[i]);
    if (c >= 0x80) {
      const unsigned next = i + 1 < token.size() ? static_cast<unsigned char>(token[i + 1]) : 0;
      if ((c & 0xe0) != 0xc0 || (next & 0xc0) != 0x80) return out.resize(before), false;
      c = (c & 0x1f) << 6 | (next & 0x3f), ++i;
    }
    if (c >= bytes.size() || bytes[c] < 0) return out.resize(before), false;
    out += static_cast<char>(bytes[c]);
  }
  return true;
}

}  // namespace modx::text
