// What a run of red_mnist leaves: its files, its metrics, their arithmetic, and the two profiles' protocols.
#include <modx/io/run_folder.hpp>
#include <set>

#include "catch.hpp"
#include "runs.hpp"

using namespace red_test;
using modx::test::get;
using modx::test::temp_folder;

namespace {

using names = std::set<std::string>;

const names experts = {"expert_0", "expert_1", "expert_2", "expert_3", "expert_4"};

names prefixed(const std::string& prefix, const names& all) {
  names out;
  for (const auto& n : all) out.insert(prefix + n);
  return out;
}
names keys(const json& object) {
  names out;
  for (const auto& [key, value] : object.items()) out.insert(key);
  return out;
}
names together(std::initializer_list<names> sets) {
  names out;
  for (const auto& s : sets) out.insert(s.begin(), s.end());
  return out;
}

/// Mean and (n - 1) standard deviation are those of the values, one a seed.
void check_figure(const json& f, std::size_t seeds) {
  const auto values = f.at("values").get<std::vector<double>>();
  REQUIRE(values.size() == seeds);
  double mean = 0, squares = 0;
  for (const double v : values) mean += v / double(seeds);
  for (const double v : values) squares += (v - mean) * (v - mean);
  CHECK(f.at("mean").get<double>() == Approx(mean).margin(1e-12));
  CHECK(f.at("sd").get<double>() == Approx(seeds > 1 ? std::sqrt(squares / double(seeds - 1)) : 0).margin(1e-12));
}

void check_run(const fs::path& folder, const std::vector<int>& seeds, const names& modes, const names& stages) {
  for (const char* file : {"config.json", "splits.json", "log.jsonl", "metrics.json", "metrics.csv", "report.html", "manifest.json"})
    CHECK(fs::file_size(folder / file) > 100);
  CHECK(modx::io::run_folder(folder).verify().empty());

  const auto m = read_json(folder / "metrics.json");
  CHECK(m.at("seeds").get<std::vector<int>>() == seeds);
  CHECK(keys(m.at("modes")) == modes);
  for (const auto& [name, mode] : m.at("modes").items())
    for (const auto& [split, images] : std::initializer_list<std::pair<const char*, double>>{{"train", 900}, {"val", 100}, {"test", 300}}) {
      CAPTURE(name, split);
      const auto& s = mode.at(split);
      check_figure(s.at("acc"), seeds.size());
      check_figure(s.at("loss"), seeds.size());
      check_figure(s.at("macro_f1"), seeds.size());
      double counted = 0;
      for (const auto& row : s.at("confusion"))
        for (const auto& n : row) counted += n.get<double>();
      CHECK(counted == images * double(seeds.size()));
      REQUIRE(s.at("per_domain_acc").size() == 5);
      for (std::size_t i = 0; i < seeds.size(); ++i) {  // the domains are of one size here
        double sum = 0;
        for (const auto& d : s.at("per_domain_acc")) sum += d.at("values")[i].get<double>() / 5;
        CHECK(sum == Approx(s.at("acc").at("values")[i].get<double>()).margin(1e-12));
      }
    }
  REQUIRE_FALSE(m.at("checks").empty());
  for (const auto& c : m.at("checks")) {
    CAPTURE(c.at("name").get<std::string>());
    CHECK(c.at("ok").get<bool>());
  }
  CHECK(m.at("recomposition").at("rows").size() == 13);  // whole; 5 removed; restored; 5 replaced; a sixth
  CHECK(keys(m.at("timing")) == stages);

  for (const int seed : seeds) {
    const auto own = folder / ("seed-" + std::to_string(seed));
    names found;
    for (const auto& file : weight_files(own, false)) found.insert(file);
    names wanted = prefixed("experts/", experts);
    wanted.insert(stages.begin(), stages.end());
    names with_end;
    for (const auto& n : wanted) with_end.insert(n + ".safetensors");
    CHECK(found == with_end);
    CHECK(fs::exists(own / "results.json"));
  }

  const auto splits = read_json(folder / "splits.json");
  for (const int seed : seeds) {
    const auto& s = splits.at("splits").at(std::to_string(seed));
    std::set<int> all;
    for (const char* part : {"train", "val", "test"})
      for (const int i : s.at(part)) CHECK(all.insert(i).second);  // no row in two splits
    CHECK(all.size() == 1300);
    CHECK(*s.at("test").get<std::set<int>>().begin() == 1000);
    for (const int i : s.at("base")) CHECK(all.count(i) == 1);
    const auto train = s.at("train").get<std::set<int>>();
    for (const int i : s.at("base")) CHECK(train.count(i) == 1);
  }

  names logged;
  for (const auto& line : read_log(folder / "log.jsonl"))
    if (line.contains("stage")) logged.insert(line.at("stage").get<std::string>());
  CHECK(logged == stages);

  const auto csv = get(folder / "metrics.csv");
  const auto report = get(folder / "report.html");
  for (const auto& mode : modes) CHECK(contains(csv, "\n" + mode + ",test,acc,"));
  CHECK(contains(report, "</html>"));
}

}  // namespace

TEST_CASE("a fair run of two seeds leaves every file, ten modes, and figures that add up", "[outputs]") {
  const auto stages = together({{"base", "global", "dense_control", "moe", "moe_joint", "router", "hidden_router"},
                                experts, prefixed("hidden_", experts), prefixed("other_", experts)});
  check_run(reference_run(), {42, 43},
            {"base", "global", "dense_control", "all_fixed", "uniform", "oracle", "moe", "moe_joint", "red", "red_hidden"}, stages);
  for (const auto& line : read_log(reference_run() / "log.jsonl"))
    if (line.contains("stage")) CHECK(line.contains("val_loss"));
  const auto m = read_json(reference_run() / "metrics.json");
  const auto acc = [&](const char* mode) { return m.at("modes").at(mode).at("test").at("acc").at("mean").get<double>(); };
  CHECK(acc("base") > 0.5);  // it learns
  CHECK(acc("red") > 0.5);
  CHECK(acc("oracle") >= acc("base"));
  const auto parameters = [&](const char* mode) { return m.at("modes").at(mode).at("parameters").get<double>(); };
  CHECK(parameters("dense_control") == Approx(parameters("red")).epsilon(0.01));
  CHECK(m.at("noise").size() == 3);
  for (const auto& kind : m.at("noise"))
    for (const auto& [mode, curve] : kind.at("modes").items())
      if (mode != "uniform")  // level 0 is no noise
        CHECK(curve.at(0).at("values") == m.at("modes").at(mode).at("test").at("acc").at("values"));
}

TEST_CASE("a published run has the four published modes and never looks at validation rows", "[outputs]") {
  const temp_folder folder;
  const auto save = folder / "run";
  const auto o = finish(small_run(save, "1", "published"));
  check_run(save, {42}, {"base", "all_fixed", "moe", "red"},
            together({{"base", "moe", "router"}, experts, prefixed("other_", experts)}));
  for (const auto& line : read_log(save / "log.jsonl")) {
    CHECK_FALSE(line.contains("val_loss"));
    CHECK_FALSE(line.contains("val_acc"));
  }
  for (const char* mode : {"base", "all_fixed", "moe", "red"}) CHECK(contains(o.out, std::string("\n") + mode));
  CHECK(contains(o.out, "report.html"));
}

TEST_CASE("runs of red and of moe alone leave the other half out, and agree with --run all", "[outputs]") {
  const temp_folder folder;
  finish(small_run(folder / "all", "1"));
  finish(small_run(folder / "red", "1") + arguments{"--run", "red"});
  finish(small_run(folder / "moe", "1") + arguments{"--run", "moe"});
  const auto all = metrics_without_times(folder / "all").at("modes");
  const auto red = metrics_without_times(folder / "red").at("modes"), moe = metrics_without_times(folder / "moe").at("modes");
  CHECK(keys(red) == names{"base", "global", "dense_control", "all_fixed", "uniform", "oracle", "red", "red_hidden"});
  CHECK(keys(moe) == names{"base", "moe", "moe_joint"});
  for (const auto& part : {red, moe})
    for (const auto& [name, mode] : part.items()) CHECK(mode == all.at(name));
}

TEST_CASE("a quiet run prints the table and nothing else; without it each epoch is a plain line when piped", "[outputs]") {
  const temp_folder folder;
  const auto options = small_run(folder / "one", "1", "published") + arguments{"--run", "moe"};
  const auto loud = finish(options);
  CHECK(contains(loud.err, "seed 42  base  epoch 1/2  loss "));
  CHECK(contains(loud.err, "expert_4  epoch 3/3"));
  CHECK_FALSE(contains(loud.err, "\r"));
  CHECK_FALSE(contains(loud.err, "\x1b"));
  const auto quiet = finish(options + arguments{"--quiet", "--save-dir", (folder / "two").string()});
  CHECK(quiet.err.empty());
  const auto table = [](const std::string& out) { return out.substr(0, out.find("1 seed in")); };
  CHECK(table(quiet.out) == table(loud.out));
}
