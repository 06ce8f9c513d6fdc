// The folder of a run and all of its seeds: configuration, splits, results that are believed by their checksum, metrics, report.
#pragma once
#include <modx/io/progress.hpp>
#include <modx/io/run_folder.hpp>

#include "../program/build.hpp"
#include "../program/json.hpp"
#include "csv.hpp"
#include "metrics.hpp"
#include "options.hpp"
#include "report.hpp"

namespace red {

namespace fs = std::filesystem;

/// A seed's results are written with their checksum, so that a resumed run believes no others.
inline std::string sum_of(const json& results) {
  return modx::io::checksum().add(std::string_view(results.dump())).hex();
}
inline std::optional<json> read_results(const fs::path& file, modx::io::progress& bar) {
  if (!fs::exists(file)) return {};
  try {
    json all = program::read_json(file);
    if (all.is_object() && all.contains("results") && all.contains("xxh128") && all["xxh128"] == sum_of(all["results"]))
      return all["results"];
    throw modx::error(file.string(), "results and their checksum", "something else");
  } catch (const modx::error& e) {
    bar.note(std::string("measured again: ") + e.what());
    return {};
  }
}
inline std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

/// What a run is made of besides its seeds' results.
struct run_facts {
  json options;      // what decides the results; a run can only be resumed with the same
  json input;        // an object: what else config.json holds, after the options: where the data is
  json splits_meta;  // what the splits depend on
  std::vector<splits> rows;  // one a seed
};

/// Throws unless the run of this config.json has the same options; `again` says what for.
inline void expect_same_options(const fs::path& file, const json& wanted, const std::string& again, const std::string& run) {
  const json found = program::read_json(file);
  if (!found.is_object() || !found.contains("options") || !found["options"].is_object())
    throw modx::error(file.string(), "an object \"options\"", "none");
  for (const auto& [key, value] : wanted.items()) {
    const json& was = found["options"].contains(key) ? found["options"][key] : json();
    if (was == value) continue;
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    throw modx::error(again + " with another --" + name, was.dump() + ", as the run in " + run + " was started with", value.dump());
  }
}

/// The folder of a run: new, or an earlier run of the same options when resuming.
template <modx::Backend B>
void open_run(modx::io::run_folder& folder, const task& about, const options& o, const run_facts& facts, const B& backend,
              modx::io::progress& bar) {
  json wanted = facts.options;
  if (!o.evaluate.empty()) {
    const auto run = fs::path(o.evaluate);
    if (!fs::exists(run / "config.json")) throw modx::error("--evaluate " + o.evaluate, "the folder of a run", "one without a config.json");
    expect_same_options(run / "config.json", wanted, "--evaluate", o.evaluate);
    wanted["evaluate"] = o.evaluate;
  }
  const auto file = folder.path() / "config.json";
  if (fs::exists(file)) {
    if (!o.resume)
      throw modx::error("--save-dir " + o.save_dir, "a folder without a run (or --resume to go on with it)",
                        "an earlier run's config.json");
    return expect_same_options(file, wanted, "--resume", o.save_dir);
  }
  if (o.resume) bar.note("nothing to resume in " + o.save_dir + ": starting anew");
  json config{{"program", about.program}, {"options", wanted}};
  config.update(facts.input);
  config.update({{"backend", B::name()}, {"git", MODX_GIT}, {"compiler", __VERSION__}, {"cpu", cpu_model()}});
  if constexpr (requires { backend.threads(); }) config["threads"] = backend.threads();
  folder.write_text("config.json", config.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

/// Leaves splits.json in the folder, with a message where there was another one.
inline void keep_splits(modx::io::run_folder& folder, std::uint64_t first_seed, const run_facts& facts, modx::io::progress& bar) {
  json file{{"meta", facts.splits_meta}, {"splits", json::object()}};
  for (std::size_t i = 0; i < facts.rows.size(); ++i) file["splits"][std::to_string(first_seed + i)] = to_json(facts.rows[i]);
  const auto path = folder.path() / "splits.json";
  if (fs::exists(path)) {
    std::string why;
    try {
      const json found = program::read_json(path);
      if (found == file) return;
      const bool same = found.is_object() && found.contains("meta") && found["meta"] == file["meta"];
      why = same ? "its rows are not the ones that its seed gives" : "it was made with another seed, ratio or data set";
    } catch (const modx::error& e) {
      why = e.what();
    }
    bar.note("splits.json is ignored and rebuilt: " + why);
  }
  folder.write_text("splits.json", file.dump() + "\n");
}

inline std::vector<nlohmann::json> read_log(const fs::path& file) {
  std::vector<nlohmann::json> log;
  std::ifstream in(file);
  std::map<std::string, std::size_t> seen;  // a resumed run repeats the epochs after its last checkpoint
  for (std::string line; std::getline(in, line);) {
    auto record = nlohmann::json::parse(line, nullptr, false);
    if (record.is_discarded()) continue;
    if (record.contains("stage")) {
      const auto key = record["seed"].dump() + record["stage"].dump() + record["epoch"].dump();
      const auto [at, fresh] = seen.emplace(key, log.size());
      if (!fresh) {
        log[at->second] = std::move(record);
        continue;
      }
    }
    log.push_back(std::move(record));
  }
  return log;
}

/// Runs every seed that has no results yet by one(i, seed, folder, log) -> results, and writes down what they come to.
template <modx::Backend B, class F>
int run_seeds(B& backend, const task& about, const options& o, const run_facts& facts, modx::io::progress& bar,
              std::chrono::steady_clock::time_point start, F one) {
  modx::io::run_folder folder(o.save_dir);
  open_run(folder, about, o, facts, backend, bar);
  keep_splits(folder, o.seed, facts, bar);

  std::vector<json> seeds;
  for (std::size_t i = 0; i < o.seeds; ++i) {
    const std::uint64_t seed = o.seed + i;
    const std::string name = "seed-" + std::to_string(seed);
    if (auto results = o.resume ? read_results(folder.path() / name / "results.json", bar) : std::nullopt) {
      seeds.push_back(std::move(*results));
      bar.note("seed " + std::to_string(seed) + ": done, read from results.json");
      continue;
    }
    seeds.push_back(one(i, seed, folder.path() / name, [&folder, seed](const json& record) {
      json line{{"seed", seed}};
      line.update(record);
      folder.append_jsonl("log.jsonl", line);
    }));
    const json sealed{{"xxh128", sum_of(seeds.back())}, {"results", seeds.back()}};
    folder.write_text(name + "/results.json", sealed.dump() + "\n");
  }
  bar.end();

  json metrics = summarize(about, o.profile, seeds);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  metrics["wall_seconds"] = seconds;
  folder.append_jsonl("log.jsonl", {{"event", "done"}, {"seconds", seconds}});
  folder.write_text("metrics.json", metrics.dump(2) + "\n");
  write_csv(folder.path(), metrics);
  write_report(about, folder.path(), program::read_json(folder.path() / "config.json"), metrics,
               read_log(folder.path() / "log.jsonl"), MODX_ECHARTS_JS);
  folder.manifest();
  print_table(about, metrics);
  std::printf("%zu seed%s in %.1f s%s; report: %s\n", o.seeds, o.seeds == 1 ? "" : "s", seconds, o.resume ? " since resumed" : "",
              (folder.path() / "report.html").c_str());
  return 0;
}

inline modx::io::progress progress_of(const options& o) {
  return modx::io::progress({.style = o.quiet ? modx::io::progress_style::quiet : modx::io::progress_style::automatic});
}

}  // namespace red
