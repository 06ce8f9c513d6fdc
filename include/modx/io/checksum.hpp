// xxh128 checksums, as 32 lower-case hex digits: of bytes, of a file, or of many pieces.
#pragma once
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include <memory>
#include <modx/io/file.hpp>
#include <new>
#include <span>
#include <string>
#include <vector>

namespace modx::io {

/// A running xxh128.
class checksum {
 public:
  checksum() : state_(XXH3_createState()) {
    if (!state_) throw std::bad_alloc();
    XXH3_128bits_reset(state_.get());
  }

  checksum& add(std::span<const std::byte> bytes) {
    if (!bytes.empty()) XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
    return *this;
  }
  /// Adds 8 bytes, least significant first.
  checksum& add(std::uint64_t v) {
    std::byte b[8];
    for (int i = 0; i < 8; ++i) b[i] = static_cast<std::byte>(v >> (8 * i));
    return add(std::span<const std::byte>(b));
  }
  /// Adds the length, then the text: ("a", "bc") and ("ab", "c") differ.
  checksum& add(std::string_view text) {
    return add(std::uint64_t{text.size()}).add(std::as_bytes(std::span(text.data(), text.size())));
  }

  /// The sum of all that was added, 32 hex digits.
  std::string hex() const {
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(state_.get()));
    std::string out;
    for (const unsigned char d : c.digest) {
      out += "0123456789abcdef"[d >> 4];
      out += "0123456789abcdef"[d & 15];
    }
    return out;
  }

 private:
  struct free_state {
    void operator()(XXH3_state_t* s) const { XXH3_freeState(s); }
  };
  std::unique_ptr<XXH3_state_t, free_state> state_;
};

/// xxh128 of some bytes.
inline std::string xxh128(std::span<const std::byte> bytes) { return checksum().add(bytes).hex(); }

/// xxh128 of a regular file, read in pieces of 1 MiB; throws as input_file does.
inline std::string xxh128_of_file(const std::filesystem::path& file, syscalls& os = syscalls::real()) {
  input_file in(file, std::numeric_limits<std::uint64_t>::max(), os);
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(in.size(), 1 << 20)));
  checksum sum;
  while (in.position() < in.size()) {
    const auto n = std::min<std::uint64_t>(piece.size(), in.size() - in.position());
    const auto part = std::span(piece).first(static_cast<std::size_t>(n));
    in.read(part);
    sum.add(part);
  }
  in.expect_end();
  return sum.hex();
}

}  // namespace modx::io
