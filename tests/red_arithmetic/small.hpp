// Small runs of red_arithmetic for the tests.
#pragma once
#include <modx/io/run_folder.hpp>
#include <set>

#include "red_mnist/runs.hpp"

namespace arithmetic_test {

using namespace red_test;
using names = std::set<std::string>;

/// A run of about a second: few questions, few epochs, a narrow model, gradients accumulated over two batches.
inline arguments small(const fs::path& save, const std::string& seeds = "1") {
  return {"--save-dir", save.string(), "--seeds", seeds, "--samples", "400", "--width", "16", "--blocks", "2",
          "--max-epochs-backbone", "2", "--max-epochs-base", "2", "--max-epochs-expert", "2", "--max-epochs-router", "2",
          "--max-epochs-moe", "2", "--base-ratio", "0.5", "--batch-size", "16", "--virtual-batch-size", "32", "--threads", "2",
          "--checkpoint-seconds", "0"};
}
/// A finished run of addition, two seeds, made once a process and never interrupted.
inline const fs::path& whole_run() {
  static const modx::test::temp_folder folder;
  static const fs::path run_folder = folder / "run";
  static const auto done = finish(small(run_folder, "2"));
  static_cast<void>(done);
  return run_folder;
}
inline names keys(const json& object) {
  names out;
  for (const auto& [key, value] : object.items()) out.insert(key);
  return out;
}
inline std::size_t lines(const fs::path& file) {
  if (!fs::exists(file)) return 0;
  const auto text = modx::test::get(file);
  return std::size_t(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace arithmetic_test
