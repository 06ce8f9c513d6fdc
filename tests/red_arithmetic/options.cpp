// red_arithmetic's options: help, what profile and task say, and what is refused.
#include "catch.hpp"
#include "small.hpp"

using namespace arithmetic_test;
using modx::test::temp_folder;

TEST_CASE("red_arithmetic --help exits 0 and names every option with its default") {
  const auto o = run({"--help"});
  CHECK(o.exit == 0);
  CHECK(o.err.empty());
  for (const std::string option : {"--task addition|mixed|operations=addition", "--backbone DIR", "--samples N=25000", "--val-ratio X=0.1",
                                   "--test-ratio X=0.1", "--pooling task|mean|last=task", "--width N=64", "--blocks N=3",
                                   "--trained-blocks N=1", "--save-dir DIR=runs/red-arithmetic", "--seeds N=1", "--profile fair|published=fair",
                                   "--max-epochs-backbone N=", "--lr-backbone X=", "--run red|moe|all=all", "--resume", "--config FILE"}) {
    CAPTURE(option);
    CHECK(contains(o.out, option));
  }
}

TEST_CASE("red_arithmetic: the published profile's settings by task, under what is given") {
  const temp_folder folder;
  const auto settings = [&](const arguments& more) {
    fs::remove_all(folder / "run");
    program p(arguments{MODX_PROGRAM} + arguments{"--save-dir", (folder / "run").string(), "--profile", "published", "--samples", "300", "--width", "8"} + more);
    p.until([&] { return fs::exists(folder / "run" / "splits.json"); }, 60);
    p.send(SIGKILL);
    p.wait();
    return read_json(folder / "run" / "config.json").at("options");
  };
  const auto addition = settings({});
  CHECK(addition.at("batch_size") == 16);
  CHECK(addition.at("virtual_batch_size") == 64);
  CHECK(addition.at("max_epochs_base") == 10);
  CHECK(addition.at("max_epochs_expert") == 60);
  CHECK(addition.at("max_epochs_router") == 60);
  CHECK(addition.at("max_epochs_moe") == 1);
  CHECK(addition.at("lr_base") == 5e-5);
  CHECK(addition.at("lr_expert") == 5e-4);
  CHECK(addition.at("weight_decay") == 0);
  CHECK(addition.at("pooling") == "mean");
  CHECK(addition.at("trained_blocks") == 1);
  const auto mixed = settings({"--task", "mixed", "--max_epochs_base=7"});
  CHECK(mixed.at("max_epochs_base") == 7);
  CHECK(mixed.at("max_epochs_router") == 8);
  CHECK(mixed.at("max_epochs_moe") == 3);
  CHECK(mixed.at("lr_base") == 1e-4);
  CHECK(mixed.at("pooling") == "last");
  CHECK(mixed.at("trained_blocks") == 3);
}

TEST_CASE("red_arithmetic refuses wrong options with exit 2, and what can't be done with exit 1, and touches nothing") {
  const temp_folder folder;
  const auto save = folder / "run";
  for (const arguments& wrong : std::initializer_list<arguments>{
           {"--task", "division"}, {"--samples", "0"}, {"--samples", "many"}, {"--test-ratio", "0"}, {"--test-ratio", "0.5"},
           {"--val-ratio", "nan"}, {"--pooling", "max"}, {"--width", "12"}, {"--width", "0"}, {"--blocks", "0"},
           {"--trained-blocks", "3"}, {"--trained-blocks", "0"}, {"--max-epochs-backbone", "0"}, {"--lr-backbone", "0"},
           {"--profile", "both"}, {"--question", "1"}}) {
    CAPTURE(wrong);
    const auto o = run(small(save) + wrong);
    CHECK(o.exit == 2);
    CHECK(contains(o.err, wrong[0]));
    CHECK(o.out.empty());
  }
  const auto fails = [&](const arguments& options, const std::string& says) {
    CAPTURE(options);
    const auto o = run(small(save) + options);
    CHECK(o.exit == 1);
    CHECK(contains(o.err, says));
    CHECK(std::count(o.err.begin(), o.err.end(), '\n') == 1);
    CHECK_FALSE(fs::exists(save));
  };
  fails({"--samples", "12"}, "--samples 12: expected questions of every domain in the test part, found none with answers 2-20");
  fails({"--val-ratio", "0"}, "questions of every domain in the validation part");
  fails({"--device", "cuda"}, "--device cuda");
  fails({"--backbone", (folder / "absent").string()}, (folder / "absent").string() + ": expected a folder with config.json");
}

TEST_CASE("red_arithmetic: an earlier run is refused without --resume, and with it under other options") {
  const auto save = whole_run();
  auto o = run(small(save, "2"));
  CHECK(o.exit == 1);
  CHECK(contains(o.err, "--resume"));
  for (const arguments& other : std::initializer_list<arguments>{{"--task", "mixed"}, {"--samples", "500"}, {"--width", "24"},
                                                                  {"--lr-backbone", "0.5"}, {"--pooling", "last"}}) {
    o = run(small(save, "2") + arguments{"--resume"} + other);
    CHECK(o.exit == 1);
    CHECK(contains(o.err, other[0]));
  }
}
