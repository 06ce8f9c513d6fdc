// The folder of one run: JSON and text written whole, logs appended line by line, and a manifest with the
// checksum of everything.
#pragma once
#include <map>
#include <modx/io/checksum.hpp>
#include <modx/io/jsonl_file.hpp>

namespace modx::io {

/// Everything that a run leaves behind.  Names are relative, of plain components ("eval/metrics.json");
/// folders are made as needed.
class run_folder {
 public:
  /// Makes `folder` and its parents, and removes the temp files that killed writers left at its top.
  explicit run_folder(std::filesystem::path folder, syscalls& os = syscalls::real())
      : folder_(std::move(folder)), os_(&os) {
    make_folder(folder_);
    sweep_temp_files(folder_, "", os);
  }

  const std::filesystem::path& path() const { return folder_; }
  /// Where `name` is; throws bad_name for "..", absolute paths, empty components, and control characters.
  std::filesystem::path path(const std::string& name) const {
    if (!good_name(name))
      throw io_error("bad_name", folder_, 0, "a relative name inside the folder", show(name));
    return folder_ / name;
  }

  /// Writes a text file, all or nothing; throws io_error.
  void write_text(const std::string& name, std::string_view text) {
    if (name == "manifest.json")
      throw io_error("bad_name", folder_, 0, "another name (manifest() writes it)", show(name));
    const auto file = path(name);
    make_folder(file.parent_path());
    write_file(file, text, *os_);
  }
  /// Writes a JSON file, indented, all or nothing.
  void write_json(const std::string& name, const nlohmann::json& value) {
    write_text(name, json_text(value, path(name), 2) + "\n");
  }
  /// Adds a line to a log that stays open; the line is in the file when this returns.
  void append_jsonl(const std::string& name, const nlohmann::json& value) {
    auto it = logs_.find(name);
    if (it == logs_.end()) {
      if (name == "manifest.json")
        throw io_error("bad_name", folder_, 0, "another name (manifest() writes it)", show(name));
      const auto file = path(name);
      make_folder(file.parent_path());
      it = logs_.emplace(name, jsonl_file(file, *os_)).first;
    }
    it->second.append(value);
  }

  /// Writes manifest.json: name, size and xxh128 of every other regular file in the folder, sorted; logs are
  /// made durable first.
  void manifest() {
    for (auto& [name, log] : logs_) log.sync();
    nlohmann::json files = nlohmann::json::array();
    for (const auto& name : list()) {
      const input_file in(path(name), std::numeric_limits<std::uint64_t>::max(), *os_);
      files.push_back({{"name", name}, {"size", in.size()}, {"xxh128", xxh128_of_file(path(name), *os_)}});
    }
    const nlohmann::json all = {{"format", "modx-manifest-1"}, {"files", files}};
    write_file(folder_ / "manifest.json", json_text(all, folder_ / "manifest.json", 2) + "\n", *os_);
  }

  /// What differs from manifest.json, a sentence each; empty if all is well.  Throws for a manifest that is
  /// missing or malformed.
  std::vector<std::string> verify() const {
    const auto source = folder_ / "manifest.json";
    const auto bytes = read_file(source, 64u << 20, *os_);
    const auto all = parse_json(bytes.text(), source);
    const auto bad = [&](const std::string& expected) {
      throw io_error("bad_manifest", source, 0, expected, "something else");
    };
    if (!all.is_object() || all.value("format", nlohmann::json()) != "modx-manifest-1")
      bad("format modx-manifest-1");
    if (!all.contains("files") || !all["files"].is_array()) bad("an array \"files\"");
    std::map<std::string, std::pair<std::uint64_t, std::string>> want;
    for (const auto& f : all["files"]) {
      if (!f.is_object() || f.size() != 3 || !f.contains("name") || !f["name"].is_string() ||
          !f.contains("size") || !f["size"].is_number_unsigned() || !f.contains("xxh128") ||
          !f["xxh128"].is_string())
        bad("files of name, size and xxh128");
      const auto name = f["name"].get<std::string>();
      if (!good_name(name) || name == "manifest.json") bad("plain relative names");
      if (!want.emplace(name, std::pair(f["size"].get<std::uint64_t>(), f["xxh128"].get<std::string>()))
               .second)
        bad("each file once");
    }
    std::vector<std::string> problems;
    std::error_code ignored;
    for (const auto& [name, facts] : want) {
      try {
        const auto [size, sum] = facts;
        if (std::filesystem::is_symlink(std::filesystem::symlink_status(folder_ / name, ignored))) {
          problems.push_back(name + ": is a symlink now");
          continue;
        }
        const input_file in(folder_ / name, std::numeric_limits<std::uint64_t>::max(), *os_);
        if (in.size() != size)
          problems.push_back(name + ": expected " + std::to_string(size) + " bytes, found " +
                             std::to_string(in.size()));
        else if (xxh128_of_file(folder_ / name, *os_) != sum)
          problems.push_back(name + ": its contents have changed");
      } catch (const io_error& e) {
        problems.push_back(name + ": " + e.what());
      }
    }
    for (const auto& name : list())
      if (!want.contains(name)) problems.push_back(name + ": not in the manifest");
    return problems;
  }

 private:
  static bool good_name(const std::string& name) {
    if (name.empty() || name.front() == '/' || name.back() == '/') return false;
    for (const char c : name)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    for (const auto& part : std::filesystem::path(name))
      if (part.empty() || part == "." || part == "..") return false;
    return name.find("//") == name.npos;
  }

  /// Names of all regular files, sorted; symlinks, temp files and manifest.json left out.
  std::vector<std::string> list() const {
    auto out = list_tree(folder_);
    std::erase_if(out, [](const auto& name) { return is_temp_name(name) || name == "manifest.json"; });
    return out;
  }

  std::filesystem::path folder_;
  syscalls* os_;
  std::map<std::string, jsonl_file> logs_;
};

}  // namespace modx::io
