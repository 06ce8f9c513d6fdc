// A safetensors file too large to hold: its header in memory, tensors read one by one on request.
#pragma once
#include <modx/io/file.hpp>
#include <modx/io/safetensors_header.hpp>
#include <modx/io/tensor_entry.hpp>
#include <optional>

namespace modx::io {

/// An open safetensors file whose header has been checked; nothing of the data is in memory.
class safetensors_stream {
 public:
  /// Checks the header of `file` against its size; throws io_error (codes: docs/io.md).
  explicit safetensors_stream(const std::filesystem::path& file, const safetensors_limits& limits = {},
                              syscalls& os = syscalls::real())
      : in_(file, limits.file, os) {
    std::byte first[8];
    const auto start =
        std::span(first).first(static_cast<std::size_t>(std::min<std::uint64_t>(8, in_.size())));
    in_.read(start);
    file_bytes text(static_cast<std::size_t>(safetensors_header_size(start, in_.size(), file, limits)));
    in_.read(text.bytes());
    data_at_ = in_.position();
    header_ = parse_safetensors_header(text.text(), in_.size() - data_at_, file, limits);
    for (const auto& r : header_.records) by_name_.push_back(&r);
    std::sort(by_name_.begin(), by_name_.end(),
              [&](auto* a, auto* b) { return header_.name(*a) < header_.name(*b); });
  }
  safetensors_stream(const safetensors_stream&) = delete;
  safetensors_stream& operator=(const safetensors_stream&) = delete;

  const std::filesystem::path& name() const { return in_.name(); }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  std::size_t size() const { return header_.records.size(); }
  /// The i-th tensor in the order of the data, without bytes.
  tensor_entry entry(std::size_t i) const { return describe(header_.records.at(i)); }
  /// The tensor called `name`, without bytes; nothing if there is none.
  std::optional<tensor_entry> find(std::string_view name) const {
    const auto* r = record(name);
    return r ? std::optional(describe(*r)) : std::nullopt;
  }

  /// Reads a tensor's bytes into `out`; throws missing_tensor, size_mismatch, read_failed.  Safe from several
  /// threads.
  void read(std::string_view name, std::span<std::byte> out) const {
    const auto& r = known(name);
    if (out.size() != r.end - r.begin)
      throw io_error("size_mismatch", in_.name(), data_at_ + r.begin,
                     "room for " + std::to_string(r.end - r.begin) + " bytes", std::to_string(out.size()));
    in_.read_at(data_at_ + r.begin, out);
  }
  /// Reads bytes [from, from + out.size()) of a tensor.
  void read_part(std::string_view name, std::uint64_t from, std::span<std::byte> out) const {
    const auto& r = known(name);
    if (from > r.end - r.begin || out.size() > r.end - r.begin - from)
      throw io_error("size_mismatch", in_.name(), data_at_ + r.begin,
                     "a part of " + std::to_string(r.end - r.begin) + " bytes",
                     std::to_string(from) + " + " + std::to_string(out.size()));
    in_.read_at(data_at_ + r.begin + from, out);
  }
  /// A tensor with its bytes, which live in `storage`.
  tensor_entry read(std::string_view name, std::vector<std::byte>& storage) const {
    const auto& r = known(name);
    storage.resize(static_cast<std::size_t>(r.end - r.begin));
    read(name, std::span(storage));
    auto t = describe(r);
    t.bytes = storage;
    return t;
  }

 private:
  using record_type = safetensors_header::record;

  const record_type* record(std::string_view name) const {
    const auto it = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                     [&](auto* r, std::string_view n) { return header_.name(*r) < n; });
    return it != by_name_.end() && header_.name(**it) == name ? *it : nullptr;
  }
  const record_type& known(std::string_view name) const {
    if (const auto* r = record(name)) return *r;
    throw io_error("missing_tensor", in_.name(), 0, "a tensor named " + show(name),
                   std::to_string(size()) + " others");
  }
  tensor_entry describe(const record_type& r) const {
    const auto shape = header_.shape(r);
    return {std::string(header_.name(r)), r.type, {shape.begin(), shape.end()}, {}};
  }

  input_file in_;
  std::uint64_t data_at_ = 0;
  safetensors_header header_;
  std::vector<const record_type*> by_name_;
};

}  // namespace modx::io
