// Checkpoints: one self-checking safetensors file a step, committed by one rename; the newest good one is
// found on load.
#pragma once
#include <modx/io/checksum.hpp>
#include <modx/io/safetensors_writer.hpp>
#include <optional>
#include <set>

namespace modx::io {

/// A checkpoint read back: its step, tensors and meta data, and what was passed over on the way to it.
struct checkpoint {
  std::uint64_t step = 0;
  safetensors_file file;
  nlohmann::json meta;
  std::vector<std::string> messages;  ///< one sentence for each newer file that is damaged
};

namespace detail {

/// xxh128 of everything that a checkpoint says: tensors by name with their dtypes and shapes, and all other
/// metadata.
inline std::string checkpoint_sum(std::span<const tensor_entry> entries,
                                  const std::map<std::string, std::string>& metadata) {
  std::vector<const tensor_entry*> by_name;
  for (const auto& t : entries) by_name.push_back(&t);
  std::sort(by_name.begin(), by_name.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  checksum sum;
  sum.add(std::uint64_t{by_name.size()});
  for (const auto* t : by_name) {
    sum.add(t->name).add(name_of(t->type)).add(std::uint64_t{t->shape.size()});
    for (const auto d : t->shape) sum.add(d);
    sum.add(std::uint64_t{t->bytes.size()}).add(t->bytes);
  }
  for (const auto& [key, value] : metadata)
    if (key != "modx.xxh128") sum.add(key).add(value);
  return sum.hex();
}

}  // namespace detail

/// Throws bad_checksum unless the xxh128 in a file's metadata is that of all that it says; false where there is none.
inline bool verify_checksum(const safetensors_file& file) {
  const auto& metadata = file.metadata();
  const auto it = metadata.find("modx.xxh128");
  if (it == metadata.end()) return false;
  const auto sum = detail::checkpoint_sum(file.list(), metadata);
  if (it->second != sum) throw io_error("bad_checksum", file.name(), 8, "xxh128 " + show(it->second), sum);
  return true;
}

namespace detail {

/// Reads and verifies one file; throws io_error.
inline checkpoint load_checkpoint(const std::filesystem::path& file, std::uint64_t step, syscalls& os) {
  checkpoint c{step, safetensors_file(file, {}, os), {}, {}};
  const auto& metadata = c.file.metadata();
  const auto text = [&](const char* key) -> const std::string& {
    const auto it = metadata.find(key);
    if (it == metadata.end())
      throw io_error("not_a_checkpoint", file, 8, std::string(key) + " in __metadata__", "none");
    return it->second;
  };
  if (text("modx.checkpoint") != "1")
    throw io_error("unknown_version", file, 8, "version 1", show(text("modx.checkpoint")));
  text("modx.xxh128");
  verify_checksum(c.file);
  if (text("modx.step") != std::to_string(step))
    throw io_error("wrong_step", file, 8, "step " + std::to_string(step) + " as in the file's name",
                   show(text("modx.step")));
  c.meta = parse_json(text("modx.meta"), file);
  return c;
}

}  // namespace detail

/// The checkpoints `<prefix>-<step, 9 digits>.safetensors` of one folder.
class checkpoint_store {
 public:
  /// Makes the folder if need be and removes what killed writers left.  `prefix`: letters, digits, '_', '-',
  /// '.'; `keep` >= 1.
  checkpoint_store(std::filesystem::path folder, std::string prefix, std::size_t keep = 2,
                   syscalls& os = syscalls::real())
      : folder_(std::move(folder)), prefix_(std::move(prefix)), keep_(keep), os_(&os) {
    bool plain = !prefix_.empty() && prefix_.front() != '.' && prefix_.size() <= 100;
    for (const char c : prefix_)
      plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        c == '_' || c == '-' || c == '.');
    if (!plain)
      throw io_error("bad_name", folder_, 0, "a prefix of letters, digits, '_', '-' and '.'", show(prefix_));
    if (keep_ < 1) throw io_error("bad_keep", folder_, 0, "keep of at least 1", "0");
    make_folder(folder_);
    sweep_temp_files(folder_, prefix_ + "-", os);
  }

  /// Where the checkpoint of `step` is or would be; throws step_too_large above 999,999,999.
  std::filesystem::path path(std::uint64_t step) const {
    std::string digits = std::to_string(step);
    if (digits.size() > 9) throw io_error("step_too_large", folder_, 0, "a step of at most 9 digits", digits);
    return folder_ / (prefix_ + "-" + std::string(9 - digits.size(), '0') + digits + ".safetensors");
  }

  /// The steps that have a file, good or not, in rising order.
  std::vector<std::uint64_t> steps() const {
    std::vector<std::uint64_t> out;
    for (const auto& name : list_folder(folder_)) {
      if (name.size() != prefix_.size() + 22 || !name.starts_with(prefix_ + "-") ||
          !name.ends_with(".safetensors"))
        continue;
      const auto digits = name.substr(prefix_.size() + 1, 9);
      if (digits.find_first_not_of("0123456789") == digits.npos) out.push_back(std::stoull(digits));
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  /// Makes `entries` and `meta` durable as the checkpoint of `step`, then deletes all but the `keep` newest
  /// up to it.  When it throws, all older checkpoints are what they were.  Returns a sentence for each old
  /// file that could not be deleted.
  std::vector<std::string> save(std::uint64_t step, std::span<const tensor_entry> entries,
                                const nlohmann::json& meta) {
    const auto file = path(step);
    std::map<std::string, std::string> metadata = {
        {"modx.checkpoint", "1"}, {"modx.step", std::to_string(step)}, {"modx.meta", json_text(meta, file)}};
    check_json_budget(metadata["modx.meta"], file);  // load_newest would refuse it
    metadata["modx.xxh128"] = detail::checkpoint_sum(entries, metadata);
    write_safetensors(file, entries, metadata, *os_);
    damaged_.erase(step);
    return delete_older(step);
  }

  /// The newest checkpoint whose checksum is right; nothing if there is no checkpoint at all.  Throws
  /// no_good_checkpoint, with all reasons, if there are some and none is good, and open_failed if one can't
  /// be opened (permissions, too many open files).
  std::optional<checkpoint> load_newest() {
    const auto all = steps();
    std::vector<std::string> messages;
    for (std::size_t i = all.size(); i-- > 0;) {
      try {
        auto c = detail::load_checkpoint(path(all[i]), all[i], *os_);
        c.messages = std::move(messages);
        return c;
      } catch (const io_error& e) {
        if (e.code() == "open_failed") throw;
        damaged_.insert(all[i]);
        messages.push_back("passed over " + path(all[i]).filename().native() + ": " + e.what());
      }
    }
    if (all.empty()) return std::nullopt;
    std::string reasons;
    for (const auto& m : messages) reasons += (reasons.empty() ? "" : "; ") + m;
    throw io_error("no_good_checkpoint", folder_, 0, "a good one among " + std::to_string(all.size()),
                   reasons);
  }

 private:
  std::vector<std::string> delete_older(std::uint64_t newest) {
    std::vector<std::string> messages;
    std::vector<std::uint64_t> all;
    try {
      all = steps();
    } catch (const io_error& e) {
      return {std::string("can't delete old checkpoints: ") + e.what()};
    }
    std::size_t kept = 1;
    for (std::size_t i = all.size(); i-- > 0;) {
      if (all[i] >= newest || (kept < keep_ && damaged_.contains(all[i])))
        continue;  // a damaged one is no reserve
      if (kept < keep_) {
        ++kept;
      } else if (os_->unlink_at(AT_FDCWD, path(all[i]).c_str()) != 0) {
        const int e = errno;
        messages.push_back("can't delete " + path(all[i]).filename().native() + ": " +
                           std::generic_category().message(e));
      }
    }
    return messages;
  }

  std::filesystem::path folder_;
  std::string prefix_;
  std::size_t keep_;
  syscalls* os_;
  std::set<std::uint64_t> damaged_;  // seen by load_newest
};

}  // namespace modx::io
