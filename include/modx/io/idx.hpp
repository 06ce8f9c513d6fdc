// IDX files (the MNIST format): 0 0 type rank, big-endian dimensions, then exactly their product of elements;
// raw or .gz.
#pragma once
#include <modx/io/checked.hpp>
#include <modx/io/gzip.hpp>
#include <optional>
#include <string>
#include <vector>

namespace modx::io {

/// An array of unsigned bytes with its dimensions, none of them 0.
struct idx_array {
  std::vector<std::size_t> shape;
  std::vector<std::uint8_t> data;
};

namespace detail {

/// "signed byte" and so on, or "" for an id that the format doesn't have.
constexpr std::string_view idx_type_name(unsigned id) {
  switch (id) {
    case 0x08:
      return "unsigned byte";
    case 0x09:
      return "signed byte";
    case 0x0b:
      return "16-bit integer";
    case 0x0c:
      return "32-bit integer";
    case 0x0d:
      return "float";
    case 0x0e:
      return "double";
    default:
      return "";
  }
}

/// Parses from a `source` with name(), read(span) -> bytes read, expect_end().
template <class Source>
idx_array parse_idx(Source& source, std::uint64_t max_bytes) {
  std::uint64_t at = 0;
  const auto fail = [&](const char* code, std::uint64_t where, const std::string& expected,
                        const std::string& found) {
    throw io_error(code, source.name(), where, expected, found);
  };
  const auto four = [&](const char* what) {
    std::array<std::byte, 4> b{};
    const auto n = source.read(b);
    if (n != 4) fail("truncated_header", at + n, what, "the end of the file");
    at += 4;
    return b;
  };
  const auto magic = four("4 bytes: 0, 0, type, rank");
  if (magic[0] == std::byte{0x1f} && magic[1] == std::byte{0x8b})
    fail("bad_magic", 0, "two zero bytes", "a gzip file (give it a name that ends in .gz)");
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0}) fail("bad_magic", 0, "two zero bytes", "others");
  const auto type = std::to_integer<unsigned>(magic[2]), rank = std::to_integer<unsigned>(magic[3]);
  if (idx_type_name(type).empty())
    fail("unknown_type", 2, "type 8, 9, 11, 12, 13 or 14", std::to_string(type));
  if (type != 8) fail("unsupported_type", 2, "unsigned bytes (type 8)", std::string(idx_type_name(type)));
  if (rank < 1 || rank > 8) fail("bad_rank", 3, "1 to 8 dimensions", std::to_string(rank));
  idx_array out;
  checked size = 1u;
  for (unsigned i = 0; i < rank; ++i) {
    std::uint32_t d = 0;
    for (const auto b : four("4 bytes of a dimension")) d = d << 8 | std::to_integer<std::uint32_t>(b);
    if (d == 0) fail("zero_dimension", at - 4, "dimensions of at least 1", "0");
    size *= d;
    out.shape.push_back(d);
  }
  if (!size.ok()) fail("size_overflow", 4, "a product of the dimensions below 2^64", "more");
  if (!size.at_most(max_bytes))
    fail("too_large", 4, "at most " + std::to_string(max_bytes) + " elements", std::to_string(*size.value()));
  const auto total = size.as<std::size_t>();
  if (!total) fail("too_large", 4, "a size that fits this machine", std::to_string(*size.value()));
  while (out.data.size() < *total) {  // grows with what is really there, not with what the header claims
    const std::size_t old = out.data.size(),
                      step = std::min<std::size_t>(*total - old, std::max<std::size_t>(old, 1 << 20));
    out.data.resize(old + step);
    const auto n = source.read(std::as_writable_bytes(std::span(out.data).subspan(old)));
    if (n != step)
      fail("truncated_data", at + old + n, std::to_string(*total) + " elements", std::to_string(old + n));
  }
  source.expect_end();
  return out;
}

/// A raw file as parse_idx wants it.
class raw_source {
 public:
  raw_source(const std::filesystem::path& file, std::uint64_t max_size, syscalls& os)
      : in_(file, max_size, os) {}
  const std::filesystem::path& name() const { return in_.name(); }
  std::size_t read(std::span<std::byte> out) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), in_.size() - in_.position()));
    in_.read(out.first(n));
    return n;
  }
  void expect_end() {
    if (in_.position() != in_.size())
      throw io_error("trailing_bytes", name(), in_.position(), "the end of the file",
                     std::to_string(in_.size() - in_.position()) + " more bytes");
    in_.expect_end();
  }

 private:
  input_file in_;
};

}  // namespace detail

/// Reads an IDX file of unsigned bytes with at most `max_bytes` elements; a name ending in .gz means gzip.
/// Throws io_error: the codes are in docs/io.md.
inline idx_array load_idx(const std::filesystem::path& file, std::uint64_t max_bytes = std::uint64_t{1} << 30,
                          syscalls& os = syscalls::real()) {
  const std::uint64_t max_file = (checked(max_bytes) + checked(1u << 20)).value().value_or(max_bytes);
  if (file.extension() == ".gz") {
    gzip_reader source(file, max_file, os);
    return detail::parse_idx(source, max_bytes);
  }
  detail::raw_source source(file, max_file, os);
  return detail::parse_idx(source, max_bytes);
}

}  // namespace modx::io
