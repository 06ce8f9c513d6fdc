// IDX and gzip files made in memory.
#pragma once
#include <zlib.h>

#include <cstdint>
#include <modx/error.hpp>
#include <string>
#include <vector>

namespace modx::test {

/// An IDX file of unsigned bytes, element i being 7 i; with `count` given, that many elements whatever the
/// shape says.
inline std::string idx_text(const std::vector<std::uint32_t>& shape, long count = -1) {
  std::string s{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  std::size_t n = 1;
  for (const auto d : shape) {
    for (const int shift : {24, 16, 8, 0}) s += static_cast<char>(d >> shift);
    n *= d;
  }
  if (count >= 0) n = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < n; ++i) s += static_cast<char>(i * 7);
  return s;
}

/// One gzip member holding `text`.
inline std::string gzip(const std::string& text) {
  z_stream z = {};
  if (deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw error("deflateInit2");
  std::string out(deflateBound(&z, static_cast<uLong>(text.size())) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) throw error("deflate");
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

/// A gzip file of `size` bytes with the same contents: a long original name in its header.
inline std::string named(const std::string& zip, std::size_t size) {
  auto s = zip.substr(0, 10) + std::string(size - zip.size() - 1, 'n') + '\0' + zip.substr(10);
  s[3] = 8;
  return s;
}

}  // namespace modx::test
