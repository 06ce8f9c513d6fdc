// Writing safetensors: sorted, padded header, read back by the strict reader before a byte reaches the disk;
// one atomic file.
#pragma once
#include <modx/io/safetensors.hpp>

namespace modx::io {

/// The order of data on disk: larger elements first, then by name.
inline std::vector<const tensor_entry*> in_file_order(std::span<const tensor_entry> entries) {
  std::vector<const tensor_entry*> out;
  for (const auto& t : entries) out.push_back(&t);
  std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) {
    return size_of(a->type) != size_of(b->type) ? size_of(a->type) > size_of(b->type) : a->name < b->name;
  });
  return out;
}

namespace detail {

/// The header's JSON for tensors in this order, padded with spaces to a multiple of 8 bytes.
inline std::string safetensors_header_text(std::span<const tensor_entry* const> order,
                                           const std::map<std::string, std::string>& metadata,
                                           const std::filesystem::path& file) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      header += (header.back() == '{' ? "" : ",") + json_text(key, file) + ":" + json_text(value, file);
    header += '}';
  }
  std::uint64_t end = 0;
  for (const auto* t : order) {
    header += (header.size() == 1 ? "" : ",") + json_text(t->name, file) + ":{\"dtype\":\"";
    header += name_of(t->type);
    header += "\",\"shape\":[";
    for (const auto d : t->shape) header += (header.back() == '[' ? "" : ",") + std::to_string(d);
    header += "],\"data_offsets\":[" + std::to_string(end) + ",";
    end += t->bytes.size();
    header += std::to_string(end) + "]}";
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  return header;
}

}  // namespace detail

/// Writes `entries` and `metadata` to `file`, all or nothing.  Throws atomic_file's errors and, before
/// anything is written, the reader's for what it would refuse: names, shapes, a header above 16 MiB; bad_json
/// for text that is not UTF-8.
inline void write_safetensors(const std::filesystem::path& file, std::span<const tensor_entry> entries,
                              const std::map<std::string, std::string>& metadata = {},
                              syscalls& os = syscalls::real()) {
  const safetensors_limits limits{.header = 16u << 20};
  for (const auto& t : entries) {
    if (t.name == "__metadata__")
      throw io_error("bad_name", file, 0, "another name for a tensor", show(t.name));
    if (static_cast<std::size_t>(t.type) >= dtype_table.size())
      throw io_error("unknown_dtype", file, 0, "a dtype of the format",
                     "another value in tensor " + show(t.name));
  }
  const auto order = in_file_order(entries);
  const auto header = detail::safetensors_header_text(order, metadata, file);
  if (header.size() > limits.header)
    throw io_error("header_too_large", file, 0,
                   "at most " + std::to_string(limits.header) + " bytes of header",
                   std::to_string(header.size()));
  std::uint64_t data_size = 0;
  for (const auto* t : order) data_size += t->bytes.size();
  parse_safetensors_header(header, data_size, file, limits);

  std::string start;
  for (unsigned i = 0; i < 8; ++i) start += static_cast<char>(header.size() >> (8 * i) & 0xff);
  start += header;
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(start))};
  for (const auto* t : order) parts.push_back(t->bytes);
  write_file(file, parts, os);
}

}  // namespace modx::io
