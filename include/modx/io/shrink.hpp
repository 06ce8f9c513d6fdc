// Smaller copies of safetensors files: some of the tensors, in a smaller type of numbers, read back and compared.
#pragma once
#include <charconv>
#include <modx/io/checkpoint.hpp>
#include <modx/parameter.hpp>

namespace modx::io {

/// What a copy holds.  Patterns as in train_only(): '*' stands for any characters.
struct shrink_options {
  std::vector<std::string> keep = {"*"};  // tensors that match any of these
  std::vector<std::string> drop = {};     // and none of these
  std::size_t last_blocks = 0;            // of the tensors ...layers.I... or ...blocks.I..., those of the n largest I; 0: all
  std::optional<dtype> type = {};         // F32, F16 or BF16 for tensors of F64, F32, F16 and BF16; none: as they are
};

struct shrink_report {
  struct amount {
    std::size_t tensors = 0;
    std::uint64_t numbers = 0, bytes = 0;
  };
  amount before, after;
  double largest_error = 0;  // of rounding, relative to the largest value of its tensor
};

namespace detail {

/// The I of "...layers.I..." or "...blocks.I...".
inline std::optional<std::size_t> block_of(std::string_view name) {
  for (const std::string_view word : {"layers.", "blocks."})
    for (std::size_t at = name.find(word); at != name.npos; at = name.find(word, at + 1)) {
      if (at > 0 && name[at - 1] != '.') continue;
      const char* const from = name.data() + at + word.size();
      std::size_t i = 0;
      const auto [end, code] = std::from_chars(from, name.data() + name.size(), i);
      if (code == std::errc() && (end == name.data() + name.size() || *end == '.')) return i;
    }
  return {};
}

inline bool is_float(dtype t) { return t == dtype::f64 || t == dtype::f32 || t == dtype::f16 || t == dtype::bf16; }

/// The tensor's numbers in another type; throws for a finite one that becomes infinite.
inline std::vector<std::byte> converted(const tensor_entry& t, dtype to, double& largest_error) {
  const auto values = to_floats(t);
  std::vector<std::byte> out(values.size() * size_of(to));
  double largest = 0, error_found = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double exact = double(values[i]);
    if (t.type == dtype::f64) std::memcpy(&exact, t.bytes.data() + i * sizeof exact, sizeof exact);
    float rounded = values[i];
    std::uint16_t bits = 0;
    if (to != dtype::f32) {
      bits = to == dtype::f16 ? to_f16(rounded) : to_bf16(rounded);
      rounded = to == dtype::f16 ? from_f16(bits) : from_bf16(bits);
      std::memcpy(out.data() + 2 * i, &bits, sizeof bits);
    } else {
      std::memcpy(out.data() + 4 * i, &rounded, sizeof rounded);
    }
    if (!std::isfinite(exact)) continue;
    if (!std::isfinite(rounded))
      detail::tensor_error(t, "numbers that " + std::string(name_of(to)) + " can hold", std::to_string(exact));
    largest = std::max(largest, std::fabs(exact));
    error_found = std::max(error_found, std::fabs(exact - double(rounded)));
  }
  if (largest > 0) largest_error = std::max(largest_error, error_found / largest);
  return out;
}

/// Which tensors of a file the copy holds.
class shrink_choice {
  const shrink_options* options_;
  std::string where_;
  std::size_t first_block_ = 0;
  std::vector<bool> kept_, dropped_;  // patterns that met a tensor

  static bool any(const std::vector<std::string>& patterns, std::vector<bool>& met, std::string_view name) {
    bool hit = false;
    for (std::size_t i = 0; i < patterns.size(); ++i)
      if (matches(patterns[i], name)) met[i] = hit = true;
    return hit;
  }
  void complain(const std::vector<std::string>& patterns, const std::vector<bool>& met) const {
    for (std::size_t i = 0; i < patterns.size(); ++i)
      if (!met[i]) throw error(where_, "tensors that match " + show(patterns[i]), "none");
  }

 public:
  shrink_choice(const shrink_options& options, const std::vector<tensor_entry>& all, std::string where)
      : options_(&options), where_(std::move(where)), kept_(options.keep.size()), dropped_(options.drop.size()) {
    if (!options.last_blocks) return;
    std::set<std::size_t> blocks;
    for (const auto& t : all)
      if (const auto i = block_of(t.name)) blocks.insert(*i);
    if (blocks.size() < options.last_blocks)
      throw error(where_, "at least " + std::to_string(options.last_blocks) + " blocks", std::to_string(blocks.size()));
    first_block_ = *std::next(blocks.rbegin(), std::ptrdiff_t(options.last_blocks) - 1);
  }
  bool operator()(const tensor_entry& t) {
    const bool dropped = any(options_->drop, dropped_, t.name), kept = any(options_->keep, kept_, t.name);
    const auto block = block_of(t.name);
    return kept && !dropped && !(block && *block < first_block_);
  }
  /// Throws for a pattern that met nothing.
  void finish() const { complain(options_->keep, kept_), complain(options_->drop, dropped_); }
};

/// Throws not_read_back unless `file` holds just these.
inline void expect_read_back(const std::filesystem::path& file, std::span<const tensor_entry> list,
                             const std::map<std::string, std::string>& metadata) {
  const safetensors_file copy(file);
  bool same = copy.list().size() == list.size() && copy.metadata() == metadata;
  for (const auto& t : list) {
    const auto* found = copy.find(t.name);
    same = same && found && found->type == t.type && found->shape == t.shape &&
           std::equal(t.bytes.begin(), t.bytes.end(), found->bytes.begin(), found->bytes.end());
  }
  if (!same) throw io_error("not_read_back", file, 0, "what was written", "something else");
}

}  // namespace detail

/// Writes a smaller copy of `from` to `to`, all or nothing, and reads it back.  A checksum of this library is verified and made
/// anew.  Throws for nothing kept, a pattern that meets nothing, a number that the type can't hold, and io_errors.
inline shrink_report shrink(const std::filesystem::path& from, const std::filesystem::path& to, const shrink_options& options = {}) {
  const std::string where = "shrink, " + from.string();
  if (options.type && *options.type != dtype::f32 && *options.type != dtype::f16 && *options.type != dtype::bf16)
    throw error(where, "F32, F16 or BF16", std::string(name_of(*options.type)));
  std::error_code ignored;
  if (std::filesystem::equivalent(from, to, ignored)) throw error(where, "another file to write to", "itself");
  const safetensors_file source(from);
  if (source.metadata().contains("modx.hidden")) throw error(where, "weights", "a cache of hidden states");
  const bool sealed = verify_checksum(source);

  shrink_report report;
  const auto count = [](shrink_report::amount& a, const tensor_entry& t) {
    ++a.tensors, a.numbers += element_count(t), a.bytes += t.bytes.size();
  };
  detail::shrink_choice chosen(options, source.list(), where);
  std::vector<tensor_entry> list;
  std::vector<std::vector<std::byte>> made;  // what the entries of converted tensors look at
  for (const auto& t : source.list()) {
    count(report.before, t);
    if (!chosen(t)) continue;
    auto copy = t;
    if (options.type && detail::is_float(t.type) && t.type != *options.type) {
      made.push_back(detail::converted(t, *options.type, report.largest_error));
      copy.type = *options.type, copy.bytes = made.back();
    }
    count(report.after, copy);
    list.push_back(std::move(copy));
  }
  chosen.finish();
  if (list.empty()) throw error(where, "at least one tensor to keep", "none");
  auto metadata = source.metadata();
  metadata["modx.shrunk"] = "from " + std::to_string(report.before.tensors) + " tensors, " + std::to_string(report.before.bytes) + " bytes";
  if (sealed) metadata["modx.xxh128"] = detail::checkpoint_sum(list, metadata);
  write_safetensors(to, list, metadata);
  detail::expect_read_back(to, list, metadata);
  return report;
}

}  // namespace modx::io
