// red_mnist --evaluate: the figures of a run from its files, and of shrunk files.
#include <modx/io/shrink.hpp>

#include "catch.hpp"
#include "runs.hpp"

using namespace red_test;
using modx::test::temp_folder;

namespace {

/// The modes' figures.
json modes(const fs::path& run) { return read_json(run / "metrics.json").at("modes"); }
double accuracy(const fs::path& run, const std::string& mode) {
  return modes(run).at(mode).at("test").at("acc").at("mean").get<double>();
}

}  // namespace

TEST_CASE("red_mnist --evaluate measures what a run has trained, again, and shrunk stages nearly the same") {
  const temp_folder folder;
  const auto run = folder / "run", again = folder / "again", small = folder / "small", smaller = folder / "smaller";
  finish(small_run(run, "1"));
  const auto o = finish(small_run(again, "1") + arguments{"--evaluate", run.string()});
  CHECK(modes(again) == modes(run));
  CHECK(contains(o.err, "read from base.safetensors"));
  CHECK(read_json(again / "config.json").at("options").at("evaluate") == run.string());

  fs::create_directories(small / "seed-42");
  fs::copy(run / "config.json", small / "config.json");
  std::uintmax_t before = 0, after = 0;
  for (const auto& file : fs::directory_iterator(run / "seed-42")) {
    if (file.path().extension() != ".safetensors") continue;
    const auto to = small / "seed-42" / file.path().filename();
    modx::io::shrink(file.path(), to, {.type = modx::io::dtype::bf16});
    before += file.file_size(), after += fs::file_size(to);
  }
  CHECK(10 * after < 6 * before);
  finish(small_run(smaller, "1") + arguments{"--evaluate", small.string()});
  CHECK(modes(smaller) != modes(run));  // the weights are rounded
  for (const char* mode : {"base", "red", "moe_joint"}) CHECK(std::fabs(accuracy(smaller, mode) - accuracy(run, mode)) < 0.05);

  SECTION("a file that is missing, damaged or of another run is an error") {
    const auto refused = [&](const arguments& more, const std::string& what) {
      const temp_folder target;
      const auto r = red_test::run(small_run(target / "run", "1") + more);
      CHECK(r.exit == 1);
      CHECK(contains(r.err, what));
    };
    refused({"--evaluate", (folder / "none").string()}, "expected the folder of a run, found one without a config.json");
    refused({"--evaluate", run.string(), "--lr-moe", "0.5"}, "--evaluate with another --lr-moe");
    auto bytes = modx::test::get(small / "seed-42" / "router.safetensors");
    bytes.back() = char(bytes.back() ^ 1);
    modx::test::put(small / "seed-42" / "router.safetensors", bytes);
    refused({"--evaluate", small.string()}, "bad_checksum");
    fs::remove(small / "seed-42" / "expert_2.safetensors");
    refused({"--evaluate", small.string()}, "expert_2.safetensors");
  }
}
