// What a run of red_arithmetic leaves, by task, profile and backbone: files, modes, figures that add up, checks that hold.
#include <set>

#include "catch.hpp"
#include "small.hpp"
#include "text/small_qwen3.hpp"

using namespace arithmetic_test;
using modx::test::get;
using modx::test::temp_folder;

namespace {

const names fair_modes = {"base", "global", "dense_control", "all_fixed", "uniform", "oracle", "moe", "moe_joint", "red",
                          "red_hidden_2", "red_hidden_4", "red_hidden_8"};

/// Files, checks and figures of any run; returns metrics.json.
json check_run(const fs::path& folder, const names& modes, std::size_t domains, std::size_t rows, std::size_t seeds = 1) {
  for (const char* file : {"config.json", "splits.json", "log.jsonl", "metrics.json", "metrics.csv", "report.html", "manifest.json"})
    CHECK(fs::file_size(folder / file) > 100);
  CHECK(modx::io::run_folder(folder).verify().empty());
  const auto m = read_json(folder / "metrics.json");
  CHECK(keys(m.at("modes")) == modes);
  CHECK(m.at("domains").size() == domains);
  for (const auto& c : m.at("checks")) {
    CAPTURE(c.dump());
    CHECK(c.at("ok").get<bool>());
  }
  CHECK(m.at("recomposition").at("rows").size() == 3 + 2 * domains);
  for (const auto& [name, mode] : m.at("modes").items()) {
    double counted = 0;
    for (const char* split : {"train", "val", "test"}) {
      CHECK(mode.at(split).at("per_domain_acc").size() == domains);
      CHECK(mode.at(split).at("macro_f1").at("values").size() == seeds);
      for (const auto& row : mode.at(split).at("confusion"))
        for (const auto& n : row) counted += n.get<double>();
    }
    CHECK(counted == double(rows * seeds));
  }
  CHECK(m.at("router").at("domain_acc").at("values").size() == seeds);
  return m;
}
std::vector<json> of_stage(const fs::path& folder, const std::string& stage) {
  std::vector<json> out;
  for (const auto& line : read_log(folder / "log.jsonl"))
    if (line.contains("stage") && line.at("stage") == stage) out.push_back(line);
  return out;
}

}  // namespace

TEST_CASE("a fair run of addition: every mode, no question in two parts, and its own row for the router") {
  const auto m = check_run(whole_run(), fair_modes, 5, 400, 2);
  CHECK(m.at("overlap").at("test").at("mean") == 0);
  CHECK(m.at("overlap").at("val").at("mean") == 0);
  CHECK(m.at("noise").size() == 3);
  for (const char* stage : {"backbone", "base", "router", "hidden_4_router", "other_expert_4"}) {
    const auto log = of_stage(whole_run(), stage);
    REQUIRE(log.size() == 4);
    for (const auto& line : log) CHECK(line.contains("val_loss"));
  }
  for (const int seed : {42, 43}) {
    const auto own = whole_run() / ("seed-" + std::to_string(seed));
    for (const char* file : {"backbone.safetensors", "base.safetensors", "hidden.safetensors", "experts/expert_4.safetensors", "results.json"})
      CHECK(fs::exists(own / file));
  }
  const auto parameters = [&](const char* mode) { return m.at("modes").at(mode).at("parameters").get<double>(); };
  CHECK(parameters("dense_control") == Approx(parameters("red")).epsilon(0.02));
  const auto report = get(whole_run() / "report.html");
  CHECK(contains(report, "RED&#39;s router, of the domain") + contains(report, "RED's router, of the domain") == 1);
  CHECK(contains(report, "Answers 41-60"));
  CHECK(contains(report, "In training too: 0"));
  CHECK_FALSE(contains(report, "igits"));
  const std::string opening = "<script type=\"application/json\">";
  std::size_t modes = 0;
  for (auto at = report.find(opening); at != std::string::npos; at = report.find(opening, at + 1)) {
    const auto begin = at + opening.size();
    std::set<int> colours;
    std::size_t bars = 0;
    const auto chart = nlohmann::json::parse(report.substr(begin, report.find("</script>", begin) - begin));
    for (const auto& series : chart.at("series"))
      if (series.at("type") == "bar") ++bars, colours.insert(series.at("colour").get<int>());
    CHECK(colours.size() == bars);  // a mode, a colour
    modes = std::max(modes, bars);
  }
  CHECK(modes == (contains(report, "The charts are missing") ? 0 : fair_modes.size()));  // ECharts was not there when it was built
  CHECK(m.at("backbone_acc").at("values").size() == 2);
  CHECK(contains(report, "the backbone itself is right on"));
}

TEST_CASE("a published run of addition: four modes, overlapping parts, selection on the training loss") {
  const temp_folder folder;
  const auto o = finish(small(folder / "run") + arguments{"--profile", "published", "--samples", "4000"});
  const auto m = check_run(folder / "run", {"base", "all_fixed", "moe", "red"}, 5, 4000);
  CHECK(m.at("overlap").at("test").at("mean").get<double>() > 0.5);
  for (const auto& line : read_log(folder / "run" / "log.jsonl")) CHECK_FALSE(line.contains("val_loss"));
  CHECK(contains(o.out, "of the test questions are in training too"));
  CHECK(contains(o.out, "\nrouter "));
}

TEST_CASE("mixed arithmetic and operation experts: heads and experts are MLPs, validation selects in both profiles") {
  const temp_folder folder;
  finish(small(folder / "mixed") + arguments{"--task", "mixed", "--samples", "1200"});
  check_run(folder / "mixed", fair_modes, 5, 1200);
  const modx::io::safetensors_file expert(folder / "mixed" / "seed-42" / "expert_0.safetensors");
  CHECK(expert.at("experts.0.up.weight").shape == std::vector<std::uint64_t>{16, 64});
  finish(small(folder / "operations") + arguments{"--task", "operations", "--samples", "1200", "--profile", "published", "--trained-blocks", "2"});
  const auto m = check_run(folder / "operations", {"base", "all_fixed", "moe", "red"}, 2, 1200);
  CHECK(m.at("domains") == json{"plus", "minus"});
  for (const auto& line : of_stage(folder / "operations", "router")) CHECK(line.contains("val_loss"));
}

TEST_CASE("pooling is alive: the mean of the tokens and the last one give other features and results") {
  const temp_folder folder;
  finish(small(folder / "last", "1") + arguments{"--pooling", "last"});
  const auto loss = [](const fs::path& run) {
    return read_json(run / "metrics.json").at("modes").at("base").at("test").at("loss").at("values")[0].get<double>();
  };
  CHECK(loss(folder / "last") != loss(whole_run()));
  CHECK(tensor_differences(whole_run() / "seed-42" / "backbone.safetensors", folder / "last" / "seed-42" / "backbone.safetensors").empty());
}

TEST_CASE("red_arithmetic --backbone takes a folder's Qwen3 and its tokenizer; the last blocks are trained, nothing is trained first") {
  const temp_folder folder;
  modx::test::write_small_qwen3(folder.path());
  const auto options = small(folder / "run") + arguments{"--backbone", folder.path().string()};
  finish(options);
  const auto m = check_run(folder / "run", fair_modes, 5, 400);
  CHECK(of_stage(folder / "run", "backbone").empty());
  CHECK_FALSE(m.contains("backbone_acc"));
  const modx::io::safetensors_file base(folder / "run" / "seed-42" / "base.safetensors");
  CHECK(base.at("0.0.0.norm1.weight").shape == std::vector<std::uint64_t>{1, 8});  // the one trained block
  const modx::io::safetensors_file hidden(folder / "run" / "seed-42" / "hidden.safetensors");
  CHECK(hidden.at("hidden").shape[1] == 8);

  auto config = read_json(folder / "run" / "config.json");
  const auto right = config.dump();
  config["options"]["backbone_weights"] = "others";
  modx::test::put(folder / "run" / "config.json", config.dump());
  CHECK(contains(run(options + arguments{"--resume"}).err, "--resume with another --backbone-weights"));
  modx::test::put(folder / "run" / "config.json", right);
  CHECK(run(options + arguments{"--resume"}).exit == 0);

  const auto o = run(small(folder / "more") + arguments{"--backbone", folder.path().string(), "--trained-blocks", "3"});
  CHECK(o.exit == 1);
  CHECK(contains(o.err, "at most 2 trained blocks"));
  fs::remove(folder / "tokenizer.json");
  const auto none = run(small(folder / "none") + arguments{"--backbone", folder.path().string()});
  CHECK(none.exit == 1);
  CHECK(contains(none.err, "tokenizer.json"));
}
