// safetensors files: a strict reader that owns the bytes, and an atomic writer.
#pragma once
#include <algorithm>
#include <map>
#include <modx/io/file.hpp>
#include <modx/io/safetensors_header.hpp>
#include <modx/io/tensor_entry.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace modx::io {

/// A whole safetensors file in memory; its entries' bytes point into it and stay valid when it is moved.
class safetensors_file {
 public:
  /// Reads and checks `file`; throws io_error (codes: docs/io.md).
  explicit safetensors_file(const std::filesystem::path& file, const safetensors_limits& limits = {},
                            syscalls& os = syscalls::real())
      : safetensors_file(read_file(file, limits.file, os), file, limits) {}
  /// The same for bytes already read; `file` is for messages.
  safetensors_file(file_bytes bytes, const std::filesystem::path& file, const safetensors_limits& limits = {})
      : file_(file), bytes_(std::move(bytes)) {
    const std::span<const std::byte> all = std::as_const(bytes_).bytes();
    const std::uint64_t header_size = safetensors_header_size(all, all.size(), file, limits);
    const auto text = bytes_.text().substr(8, static_cast<std::size_t>(header_size));
    const auto data = all.subspan(8 + text.size());
    auto header = parse_safetensors_header(text, data.size(), file, limits);
    entries_.reserve(header.records.size());
    for (const auto& r : header.records) {
      const auto shape = header.shape(r);
      entries_.push_back(
          {std::string(header.name(r)),
           r.type,
           {shape.begin(), shape.end()},
           data.subspan(static_cast<std::size_t>(r.begin), static_cast<std::size_t>(r.end - r.begin))});
    }
    for (std::size_t i = 0; i < entries_.size(); ++i) by_name_.push_back(i);
    std::sort(by_name_.begin(), by_name_.end(),
              [&](auto a, auto b) { return entries_[a].name < entries_[b].name; });
    metadata_ = std::move(header.metadata);
  }

  const std::filesystem::path& name() const { return file_; }
  /// All tensors in the order of their data.
  const std::vector<tensor_entry>& list() const { return entries_; }
  /// The `__metadata__` of the file.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The tensor called `name`, or nullptr.
  const tensor_entry* find(std::string_view name) const {
    const auto it = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                     [&](std::size_t i, std::string_view n) { return entries_[i].name < n; });
    return it != by_name_.end() && entries_[*it].name == name ? &entries_[*it] : nullptr;
  }
  /// The tensor called `name`; throws missing_tensor.
  const tensor_entry& at(std::string_view name) const {
    if (const auto* e = find(name)) return *e;
    throw io_error("missing_tensor", file_, 0, "a tensor named " + show(name),
                   std::to_string(entries_.size()) + " others");
  }

 private:
  std::filesystem::path file_;
  file_bytes bytes_;
  std::vector<tensor_entry> entries_;
  std::vector<std::size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace modx::io
