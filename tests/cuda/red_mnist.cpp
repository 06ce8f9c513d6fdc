// red_mnist --device cuda on the emulator beside --device cpu: the same accuracies, close weights, and a resumed run.
#include "catch.hpp"
#include "red_mnist/runs.hpp"

using namespace red_test;
using modx::test::temp_folder;

namespace {

/// Few small images and short stages: the emulator is slow.
arguments tiny_run(const fs::path& data, const fs::path& save, const char* device) {
  return {"--data-dir", data.string(), "--save-dir", save.string(), "--device", device, "--seeds", "1",
          "--max-epochs-base", "2", "--max-epochs-expert", "2", "--max-epochs-router", "2", "--max-epochs-moe", "2",
          "--hidden-dim", "12", "--rank", "2", "--base-ratio", "1", "--batch-size", "16", "--virtual-batch-size", "32",
          "--lr-base", "0.003", "--threads", "1", "--checkpoint-seconds", "0"};
}

/// Largest difference between the weights of two files; their names and shapes are the same.
double distance(const fs::path& one, const fs::path& two) {
  const modx::io::safetensors_file a(one), b(two);
  double worst = a.list().size() == b.list().size() ? 0 : HUGE_VAL;
  for (const auto& t : a.list()) {
    const auto& u = b.at(t.name);
    std::vector<float> x(t.bytes.size() / 4), y(u.bytes.size() / 4);
    modx::io::copy_to(t, std::span<float>(x)), modx::io::copy_to(u, std::span<float>(y));
    REQUIRE(x.size() == y.size());
    for (std::size_t i = 0; i < x.size(); ++i) worst = std::fmax(worst, double(std::fabs(x[i] - y[i])));
  }
  return worst;
}

}  // namespace

TEST_CASE("red_mnist --device cuda: accuracies and weights of the CPU, the same bits when resumed", "[red_mnist]") {
  const temp_folder folder;
  write_small_mnist(folder / "data", 100, 40);
  const auto run_on = [&](const char* device, const char* name) {
    finish(tiny_run(folder / "data", folder / name, device));
    return folder / name;
  };
  const auto cpu = run_on("cpu", "cpu"), gpu = run_on("cuda", "cuda");
  CHECK(read_json(gpu / "config.json")["backend"] == "cuda");
  const auto a = read_json(cpu / "metrics.json"), b = read_json(gpu / "metrics.json");
  CHECK(a["modes"].size() == 10);
  for (const auto& [name, mode] : a["modes"].items())
    for (const char* split : {"train", "val", "test"}) {
      CAPTURE(name, split);
      CHECK(std::fabs(mode[split]["acc"]["mean"].get<double>() - b["modes"][name][split]["acc"]["mean"].get<double>()) <= 0.005);
      CHECK(std::fabs(mode[split]["loss"]["mean"].get<double>() - b["modes"][name][split]["loss"]["mean"].get<double>()) <= 1e-3);
    }
  for (const auto& check : b["checks"]) CHECK(check["ok"].get<bool>());
  const auto files = weight_files(cpu, false);
  CHECK(files == weight_files(gpu, false));
  CHECK(files.size() > 20);
  for (const auto& file : files) {
    CAPTURE(file);
    CHECK(distance(cpu / file, gpu / file) < 2e-3);
  }

  // Killed after two stages, and gone on with: the bits of the run that nobody disturbed.
  const auto options = tiny_run(folder / "data", folder / "again", "cuda");
  {
    program p(arguments{MODX_PROGRAM} + options);
    p.until([&] { return fs::exists(folder / "again/seed-42/expert_1.safetensors"); });
    p.send(SIGKILL);
    p.wait();
  }
  CHECK_FALSE(fs::exists(folder / "again/metrics.json"));
  finish(options + arguments{"--resume"});
  CHECK(weight_differences(gpu, folder / "again") == std::vector<std::string>{});
  const auto other = run(tiny_run(folder / "data", folder / "again", "cpu") + arguments{"--resume"});
  CHECK(other.exit == 1);
  CHECK(contains(other.err, "--resume with another --device"));
}
