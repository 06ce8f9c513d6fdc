// The error of every reader and writer of files: a stable code for programs, file + byte + what was wrong for
// people.
#pragma once
#include <cstdint>
#include <filesystem>
#include <modx/error.hpp>
#include <string>
#include <string_view>

namespace modx::io {

/// `text` fit for a message: quoted, at most 80 bytes, control and non-ASCII bytes as \xHH (names come from
/// untrusted files).
inline std::string show(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size() && i < 80; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c >= 0x7f) {
      out += "\\x";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += text[i];
    }
  }
  return out += text.size() > 80 ? "...\"" : "\"";
}

/// A file that can't be read, written or believed:
/// "<file> at byte <offset>: expected ..., found ... [<code>]".
class io_error : public error {
 public:
  /// `code` is a string literal: it is kept by reference.
  io_error(const char* code, const std::filesystem::path& file, std::uint64_t offset,
           const std::string& expected, const std::string& found)
      : error(show(file.native()) + " at byte " + std::to_string(offset), expected,
              found + " [" + code + "]"),
        code_(code),
        file_(file),
        offset_(offset) {}

  std::string_view code() const noexcept { return code_; }
  const std::filesystem::path& file() const noexcept { return file_; }
  std::uint64_t offset() const noexcept { return offset_; }

 private:
  std::string_view code_;
  std::filesystem::path file_;
  std::uint64_t offset_;
};

}  // namespace modx::io
