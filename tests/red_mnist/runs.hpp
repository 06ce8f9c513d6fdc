// Small runs of red_mnist for the tests: their options, a finished one to compare with, and what differs between two.
#pragma once
#include <map>
#include <modx/io/safetensors.hpp>
#include <nlohmann/json.hpp>

#include "io/program.hpp"
#include "small_mnist.hpp"

namespace red_test {

namespace fs = std::filesystem;
using modx::test::arguments, modx::test::contains, modx::test::outcome, modx::test::program, modx::test::run, modx::test::operator+;
using json = nlohmann::ordered_json;

/// The data set of all tests, written once a process.
inline const fs::path& data() {
  static const modx::test::temp_folder folder;
  static const bool written = (write_small_mnist(folder.path()), true);
  static_cast<void>(written);
  return folder.path();
}

/// A run of about a second into `save`: few epochs, a narrow encoder, gradients accumulated over two batches.
inline arguments small_run(const fs::path& save, const std::string& seeds = "2", const std::string& profile = "fair") {
  return {"--data-dir", data().string(), "--save-dir", save.string(), "--profile", profile, "--seeds", seeds,
          "--max-epochs-base", "2", "--max-epochs-expert", "3", "--max-epochs-router", "3", "--max-epochs-moe", "3",
          "--hidden-dim", "24", "--rank", "2", "--base-ratio", "1", "--batch-size", "16", "--virtual-batch-size", "32",
          "--lr-base", "0.003", "--threads", "2", "--checkpoint-seconds", "0"};
}

inline json read_json(const fs::path& file) { return json::parse(modx::test::get(file)); }

/// The lines of a log.
inline std::vector<json> read_log(const fs::path& file) {
  std::vector<json> all;
  std::istringstream in(modx::test::get(file));
  for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
  return all;
}

/// Throws unless the run ended well.
inline outcome finish(const arguments& options) {
  auto o = run(options);
  if (o.exit != 0)
    throw modx::error(MODX_PROGRAM, "exit 0", std::to_string(o.exit) + ", signal " + std::to_string(o.signal) + ": " + o.err);
  return o;
}

/// A finished fair run of two seeds, made once a process and never interrupted.
inline const fs::path& reference_run() {
  static const modx::test::temp_folder folder;
  static const fs::path run_folder = folder / "run";
  static const auto done = finish(small_run(run_folder));
  static_cast<void>(done);
  return run_folder;
}

/// Relative names and bytes of everything in `folder`.
inline std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& e : fs::recursive_directory_iterator(folder))
    all[fs::relative(e.path(), folder).string()] = e.is_regular_file() ? modx::test::get(e.path()) : "";
  return all;
}

/// Names of the safetensors files in a run; checkpoints inside a stage only when asked for.
inline std::vector<std::string> weight_files(const fs::path& folder, bool checkpoints) {
  std::vector<std::string> names;
  for (const auto& e : fs::recursive_directory_iterator(folder))
    if (e.path().extension() == ".safetensors" && (checkpoints || !e.path().filename().string().starts_with("training-")))
      names.push_back(fs::relative(e.path(), folder).string());
  std::sort(names.begin(), names.end());
  return names;
}

/// What differs between two files of tensors, a sentence each: names, types, shapes, bytes.
inline std::vector<std::string> tensor_differences(const fs::path& one, const fs::path& two) {
  const modx::io::safetensors_file a(one), b(two);
  std::vector<std::string> found;
  if (a.list().size() != b.list().size()) found.push_back(two.string() + ": another number of tensors");
  for (const auto& t : a.list()) {
    const auto* u = b.find(t.name);
    if (!u || t.type != u->type || t.shape != u->shape || !std::ranges::equal(t.bytes, u->bytes))
      found.push_back(two.string() + ": " + t.name);
  }
  return found;
}

/// What differs between the weights of two runs.
inline std::vector<std::string> weight_differences(const fs::path& one, const fs::path& two, bool checkpoints = false) {
  const auto names = weight_files(one, checkpoints);
  if (names != weight_files(two, checkpoints)) return {"the sets of files"};
  if (names.empty()) return {"there are no files"};
  std::vector<std::string> found;
  for (const auto& name : names)
    for (auto& d : tensor_differences(one / name, two / name)) found.push_back(std::move(d));
  return found;
}

/// metrics.json without what the clock says.
inline json metrics_without_times(const fs::path& run_folder) {
  auto m = read_json(run_folder / "metrics.json");
  m.erase("timing"), m.erase("wall_seconds");
  return m;
}

}  // namespace red_test
