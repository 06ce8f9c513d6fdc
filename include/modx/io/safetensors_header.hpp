// The JSON header of a safetensors file: parsed, then checked against itself and the data's size.
#pragma once
#include <algorithm>
#include <modx/io/checked.hpp>
#include <modx/io/safetensors_sax.hpp>
#include <numeric>
#include <tuple>

namespace modx::io {
namespace detail {

/// Names differ; each shape's bytes equal its range; the ranges cover the data once, without hole or rest.
inline void check_safetensors_ranges(safetensors_header& h, std::uint64_t data_size, std::uint64_t data_at,
                                     const std::filesystem::path& file) {
  std::vector<std::size_t> by_name(h.records.size());
  std::iota(by_name.begin(), by_name.end(), std::size_t{0});
  std::sort(by_name.begin(), by_name.end(),
            [&](auto a, auto b) { return h.name(h.records[a]) < h.name(h.records[b]); });
  for (std::size_t i = 1; i < by_name.size(); ++i) {
    const auto &a = h.records[by_name[i - 1]], &b = h.records[by_name[i]];
    if (h.name(a) == h.name(b))
      throw io_error("duplicate_key", file, 8 + std::max(a.at, b.at), "each tensor once",
                     show(h.name(a)) + " twice");
  }
  for (const auto& r : h.records) {
    checked bytes = size_of(r.type), without_zeros = bytes;
    for (const auto d : h.shape(r)) {
      bytes *= d;
      if (d != 0) without_zeros *= d;
    }
    const auto fail = [&](const char* code, const std::string& expected, const std::string& found) {
      throw io_error(code, file, 8 + r.at, expected, found + " in tensor " + show(h.name(r)));
    };
    if (!without_zeros.ok()) fail("size_overflow", "a product of the dimensions below 2^64 bytes", "more");
    if (r.begin > r.end)
      fail("bad_offsets", "begin <= end", std::to_string(r.begin) + " > " + std::to_string(r.end));
    if (bytes != checked(r.end - r.begin))
      fail("size_mismatch", std::to_string(*bytes.value()) + " bytes by dtype and shape",
           std::to_string(r.end - r.begin) + " by data_offsets");
  }
  std::sort(h.records.begin(), h.records.end(), [&](const auto& a, const auto& b) {
    return std::tuple(a.begin, a.end, h.name(a)) < std::tuple(b.begin, b.end, h.name(b));
  });
  std::uint64_t end = 0;
  for (const auto& r : h.records) {
    if (r.begin != end)
      throw io_error(r.begin < end ? "overlap" : "hole", file, 8 + r.at,
                     "tensor " + show(h.name(r)) + " to begin at " + std::to_string(end),
                     std::to_string(r.begin));
    end = r.end;
  }
  if (end != data_size)
    throw io_error(end > data_size ? "truncated_data" : "trailing_bytes", file,
                   data_at + std::min(end, data_size), std::to_string(end) + " bytes of data",
                   std::to_string(data_size));
}

}  // namespace detail

/// The length of the header's JSON, read from the first 8 of `size` bytes.  Throws truncated_header,
/// empty_header, header_too_large, header_past_end.
inline std::uint64_t safetensors_header_size(std::span<const std::byte> first, std::uint64_t size,
                                             const std::filesystem::path& file,
                                             const safetensors_limits& limits) {
  if (first.size() < 8)
    throw io_error("truncated_header", file, first.size(), "8 bytes with the header's length",
                   std::to_string(first.size()));
  std::uint64_t n = 0;
  for (unsigned i = 8; i-- > 0;) n = n << 8 | std::to_integer<std::uint64_t>(first[i]);
  const auto found = std::to_string(n);
  if (n == 0) throw io_error("empty_header", file, 0, "a header", "its length 0");
  if (n > limits.header)
    throw io_error("header_too_large", file, 0,
                   "a header of at most " + std::to_string(limits.header) + " bytes", found);
  if (n > size - 8)
    throw io_error("header_past_end", file, 0, "a header of at most " + std::to_string(size - 8) + " bytes",
                   found);
  return n;
}

/// The header whose JSON is `text`, for a file with `data_size` bytes after it.  Throws io_error with one of
/// the codes of docs/io.md; memory is bounded by the text's size, not by its nesting or its numbers.
inline safetensors_header parse_safetensors_header(std::string_view text, std::uint64_t data_size,
                                                   const std::filesystem::path& file,
                                                   const safetensors_limits& limits = {}) {
  if (text.size() > 0xffffffff) throw io_error("header_too_large", file, 0, "a header below 4 GiB", "more");
  check_json_budget(text, file, 8, {.depth = 64, .string = 2 * limits.metadata + limits.name, .number = 64});
  safetensors_header header;
  // What a valid header can need at most, so that nothing grows by doubling: a tensor takes 50 bytes, 47
  // without its name, and beside its dimensions' commas three more.
  const auto count = [&](char c) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
  };
  const std::size_t tensors =
      std::min({limits.tensors, text.size() / 50, std::max<std::size_t>(count('{'), 1) - 1});
  const std::size_t commas = count(','), dims = commas > 3 * tensors ? commas - 3 * tensors + 1 : 1;
  header.records.reserve(tensors);
  header.dims.reserve(std::min(dims, tensors * limits.rank));
  header.names.reserve(std::min(text.size() - 47 * tensors, tensors * limits.name));
  // NOLINTBEGIN(bugprone-suspicious-stringview-data-usage): each start goes with its end
  detail::safetensors_sax sax(header, file, limits, text.data());
  const detail::counting_iterator begin{text.data(), &sax.furthest},
      end{text.data() + text.size(), &sax.furthest};
  // NOLINTEND(bugprone-suspicious-stringview-data-usage)
  if (!nlohmann::json::sax_parse(begin, end, &sax)) throw *sax.error;
  detail::check_safetensors_ranges(header, data_size, 8 + text.size(), file);
  return header;
}

}  // namespace modx::io
