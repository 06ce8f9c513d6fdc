// Killed, interrupted and damaged runs go on to the same bits.
#include <random>
#include <set>

#include "catch.hpp"
#include "runs.hpp"

using namespace red_test;
using modx::test::get;
using modx::test::put;
using modx::test::temp_folder;

namespace {

std::size_t lines(const fs::path& file) {
  if (!fs::exists(file)) return 0;
  const auto text = get(file);
  return std::size_t(std::count(text.begin(), text.end(), '\n'));
}

/// Same tensors and metrics as the uninterrupted run.
void check_same_as_reference(const fs::path& save) {
  CHECK(weight_differences(reference_run(), save) == std::vector<std::string>{});
  CHECK(metrics_without_times(save) == metrics_without_times(reference_run()));
}

/// Runs until the log has `count` more lines, then sends `signal` and waits for the end.
outcome stop_after(const arguments& options, const fs::path& log, std::size_t count, int signal) {
  const std::size_t wanted = lines(log) + count;
  program p(arguments{MODX_PROGRAM} + options);
  p.until([&] { return lines(log) >= wanted; });
  p.send(signal);
  return p.wait();
}

fs::path newest_checkpoint(const fs::path& seed_folder) {
  fs::path newest;
  for (const auto& e : fs::directory_iterator(seed_folder))
    if (e.path().filename().string().starts_with("training-")) newest = std::max(newest, e.path());
  return newest;
}

}  // namespace

TEST_CASE("killed twenty times all over the run, it ends in the same bits", "[resume]") {
  const auto epochs = lines(reference_run() / "log.jsonl") - 1;
  const double whole = read_log(reference_run() / "log.jsonl").back().at("seconds").get<double>();
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  std::mt19937 random(20);
  std::set<std::string> stages;
  constexpr std::size_t kills = 20;
  for (std::size_t i = 0; i < kills; ++i) {
    // Kill i falls near its share of the epochs (repeated ones included) or up to a 40th of the run's time later: in
    // training, saving or measuring.
    const std::size_t at = (epochs - 8) * (2 * i + 1) / (2 * kills) + i / 4;
    program p(arguments{MODX_PROGRAM} + small_run(save) + (i ? arguments{"--resume"} : arguments{}));
    p.until([&] { return lines(log) >= at; });
    std::this_thread::sleep_for(std::chrono::duration<double>(whole / 40 * double(random() % 1000) / 1000));
    p.send(SIGKILL);
    const auto o = p.wait();
    CAPTURE(i, at, o.err);
    REQUIRE(o.signal == SIGKILL);
    auto text = get(log);
    text.resize(text.rfind('\n'));
    const auto last = json::parse(text.substr(text.rfind('\n') + 1));
    stages.insert(last.at("seed").dump() + last.at("stage").get<std::string>());
  }
  CHECK(stages.size() >= 8);  // how many are hit depends on the machine
  const auto o = finish(small_run(save) + arguments{"--resume"});
  CHECK(contains(o.err, "done, read from"));
  check_same_as_reference(save);
}

TEST_CASE("killed before its first epoch, it starts anew", "[resume]") {
  const temp_folder folder;
  const auto save = folder / "run";
  {
    program p(arguments{MODX_PROGRAM} + small_run(save));
    p.until([&] { return fs::exists(save / "splits.json"); });
  }  // killed here
  finish(small_run(save) + arguments{"--resume"});
  check_same_as_reference(save);
}

TEST_CASE("SIGINT and SIGTERM save, say how to go on, and exit 0", "[resume]") {
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  // No checkpoints but the one that the signal asks for.
  const auto options = small_run(save) + arguments{"--checkpoint-seconds", "1000"};
  for (const int signal : {SIGINT, SIGTERM, SIGINT}) {
    const bool resumed = fs::exists(log);
    const auto o = stop_after(options + (resumed ? arguments{"--resume"} : arguments{}), log, resumed ? 19 : 1, signal);
    CAPTURE(o.err);
    CHECK(o.exit == 0);
    CHECK(contains(o.err, "interrupted in seed 4"));
    CHECK(contains(o.err, "--resume"));
    CHECK(o.out.empty());
  }
  CHECK(lines(log) < lines(reference_run() / "log.jsonl"));  // no epoch was trained twice so far
  finish(options + arguments{"--resume"});
  check_same_as_reference(save);
  CHECK(lines(log) == lines(reference_run() / "log.jsonl"));
}

TEST_CASE("a damaged newest checkpoint is passed over with a message, and the end is the same", "[resume]") {
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  stop_after(small_run(save), log, 11, SIGINT);
  const auto file = newest_checkpoint(save / "seed-42");
  REQUIRE_FALSE(file.empty());
  auto bytes = get(file);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  put(file, bytes);
  const auto o = finish(small_run(save) + arguments{"--resume"});
  CHECK(contains(o.err, "passed over " + file.filename().string()));
  check_same_as_reference(save);
}

TEST_CASE("all checkpoints damaged: the stage starts anew", "[resume]") {
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  stop_after(small_run(save), log, 11, SIGINT);
  std::size_t damaged = 0;
  for (const auto& e : fs::directory_iterator(save / "seed-42"))
    if (e.path().filename().string().starts_with("training-")) put(e.path(), "not a checkpoint"), ++damaged;
  REQUIRE(damaged == 2);
  const auto o = finish(small_run(save) + arguments{"--resume"});
  CHECK(contains(o.err, "starts anew"));
  check_same_as_reference(save);
}

TEST_CASE("damaged stage files and results are found out and made again", "[resume]") {
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  const auto resume = small_run(save) + arguments{"--resume"};
  stop_after(small_run(save), log, 20, SIGINT);
  const auto file = save / "seed-42" / "expert_1.safetensors";
  auto bytes = get(file);
  bytes[bytes.size() - 4] = static_cast<char>(bytes[bytes.size() - 4] ^ 1);  // the last bit of a weight
  put(file, bytes);
  auto o = stop_after(resume, log, 20, SIGINT);
  CHECK(contains(o.err, "seed 42  expert_1: trained again"));
  put(file, get(file).substr(0, 100));
  o = stop_after(resume, log, 35, SIGINT);  // in the second seed
  CHECK(contains(o.err, "seed 42  expert_1: trained again"));
  const auto results = save / "seed-42" / "results.json";
  const auto right = get(results);
  REQUIRE(right.size() > 1000);
  auto wrong = json::parse(right);
  wrong["results"]["modes"]["red"]["test"]["acc"] = 1;
  for (const std::string& text : {wrong.dump(), right.substr(0, right.size() / 2), std::string("{}"), std::string("[]"), std::string()}) {
    put(results, text);
    o = finish(resume);
    CHECK(contains(o.err, "measured again"));
    CHECK(contains(o.err, "results.json"));
    CHECK(contains(o.err, "seed 42  base: done, read from base.safetensors"));
    check_same_as_reference(save);
  }
}

TEST_CASE("splits.json that isn't this run's is ignored with a message and rebuilt", "[resume]") {
  const temp_folder folder;
  const auto save = folder / "run", log = save / "log.jsonl";
  stop_after(small_run(save), log, 5, SIGINT);
  const auto right = get(save / "splits.json");
  for (const char* how : {"seed", "row", "text", "gone"}) {
    CAPTURE(how);
    auto splits = json::parse(right);
    if (how == std::string("seed")) splits["meta"]["seed"] = 7;
    if (how == std::string("row")) splits["splits"]["42"]["train"][3] = 1299;
    put(save / "splits.json", how == std::string("text") ? "{" : splits.dump());
    if (how == std::string("gone")) fs::remove(save / "splits.json");
    const auto o = stop_after(small_run(save) + arguments{"--resume"}, log, 3, SIGTERM);
    CHECK(o.exit == 0);
    CHECK(contains(o.err, "splits.json is ignored and rebuilt") == (how != std::string("gone")));
    CHECK(get(save / "splits.json") == right);
  }
  finish(small_run(save) + arguments{"--resume"});
  check_same_as_reference(save);
}
