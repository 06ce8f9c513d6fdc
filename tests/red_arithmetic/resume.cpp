// Killed, interrupted and damaged runs go on to the same bits; so does any number of threads.
#include <random>

#include "catch.hpp"
#include "small.hpp"

using namespace arithmetic_test;
using modx::test::get;
using modx::test::put;
using modx::test::temp_folder;

namespace {
void check_same(const fs::path& save) {
  CHECK(weight_differences(whole_run(), save) == std::vector<std::string>{});
  CHECK(metrics_without_times(save) == metrics_without_times(whole_run()));
}
}  // namespace

TEST_CASE("red_arithmetic: killed eight times all over the run, it ends in the same bits") {
  const auto epochs = lines(whole_run() / "log.jsonl") - 1;
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  std::mt19937 random(5);
  for (std::size_t i = 0; i < 8; ++i) {
    program p(arguments{MODX_PROGRAM} + small(save, "2") + (i ? arguments{"--resume"} : arguments{}));
    p.until([&] { return lines(log) >= (epochs - 8) * (2 * i + 1) / 16; });
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
    p.send(SIGKILL);
    const auto o = p.wait();
    CAPTURE(i, o.err);
    REQUIRE(o.signal == SIGKILL);
  }
  finish(small(save, "2") + arguments{"--resume"});
  check_same(save);
}

TEST_CASE("red_arithmetic: SIGINT saves, says how to go on, and exits 0; also in the backbone's training") {
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  for (const std::size_t wanted : {1, 20}) {
    program p(arguments{MODX_PROGRAM} + small(save, "2") + (wanted > 1 ? arguments{"--resume"} : arguments{}));
    p.until([&] { return lines(log) >= wanted; });
    p.send(SIGINT);
    const auto o = p.wait();
    CAPTURE(o.err);
    CHECK(o.exit == 0);
    CHECK(contains(o.err, "--resume"));
    CHECK(o.out.empty());
  }
  finish(small(save, "2") + arguments{"--resume"});
  check_same(save);
}

TEST_CASE("red_arithmetic: damaged hidden states are computed again, with a message and the same end") {
  const temp_folder folder;
  const auto save = folder / "run";
  program p(arguments{MODX_PROGRAM} + small(save, "2"));
  p.until([&] { return lines(save / "log.jsonl") >= 8; });
  p.send(SIGINT);
  p.wait();
  const auto file = save / "seed-42" / "hidden.safetensors";
  auto bytes = get(file);
  bytes[bytes.size() - 40] = static_cast<char>(bytes[bytes.size() - 40] ^ 1);
  put(file, bytes);
  const auto o = finish(small(save, "2") + arguments{"--resume"});
  CHECK(contains(o.err, "seed 42  computed again: "));
  check_same(save);
}

TEST_CASE("red_arithmetic: every tensor is the same for 1 and 3 threads, and a seed's results don't depend on the seeds before it") {
  for (const char* threads : {"1", "3"}) {
    const temp_folder folder;
    finish(small(folder / "run", "2") + arguments{"--threads", threads});
    CHECK(weight_differences(whole_run(), folder / "run", true) == std::vector<std::string>{});
    CHECK(metrics_without_times(folder / "run") == metrics_without_times(whole_run()));
  }
  const temp_folder folder;
  finish(small(folder / "run") + arguments{"--seed", "43"});
  CHECK(weight_differences(whole_run() / "seed-43", folder / "run" / "seed-43", true) == std::vector<std::string>{});
  CHECK_FALSE(tensor_differences(whole_run() / "seed-42" / "router.safetensors", folder / "run" / "seed-43" / "router.safetensors").empty());
}
