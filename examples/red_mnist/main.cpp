// The MNIST modular benchmark: residual expert decomposition against a global head, oracle, uniform and MoE.
#include "csv.hpp"
#include "metrics.hpp"
#include "report.hpp"
#include "seed_run.hpp"

#ifndef MODX_ECHARTS_JS
#define MODX_ECHARTS_JS ""
#endif
#ifndef MODX_GIT
#define MODX_GIT "unknown"
#endif

namespace red_mnist {

namespace fs = std::filesystem;

inline json read_json(const fs::path& file) {
  const auto bytes = modx::io::read_file(file, std::uint64_t(1) << 30);
  try {
    return json::parse(bytes.text());
  } catch (const json::exception& e) {
    throw modx::error(file.string(), "JSON", e.what());
  }
}
inline std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

/// The folder of a run: new, or an earlier run of the same options when resuming.
inline void open_run(modx::io::run_folder& folder, const options& o, const cpu& backend, modx::io::progress& bar) {
  const json wanted = to_json(o);
  const auto file = folder.path() / "config.json";
  if (fs::exists(file)) {
    if (!o.resume)
      throw modx::error("--save-dir " + o.save_dir, "a folder without a run (or --resume to go on with it)",
                        "an earlier run's config.json");
    const json found = read_json(file);
    for (const auto& [key, value] : wanted.items())
      if (!found.contains("options") || !found["options"].contains(key) || found["options"][key] != value)
        throw modx::error("--resume, option " + key, "what the run was started with", value.dump());
    return;
  }
  if (o.resume) bar.note("nothing to resume in " + o.save_dir + ": starting anew");
  json config{{"program", "red_mnist"}, {"options", wanted}, {"data_dir", o.data_dir}, {"threads", backend.threads()},
              {"backend", cpu::name()}, {"git", MODX_GIT}, {"compiler", __VERSION__}, {"cpu", cpu_model()}};
  folder.write_text("config.json", config.dump(2) + "\n");
}

/// The splits of all seeds: those in splits.json if it was made for these options, else new ones.
inline std::vector<splits> open_splits(modx::io::run_folder& folder, const options& o,
                                       const modx::dataset<cpu>& images, std::size_t train_count,
                                       modx::io::progress& bar) {
  std::vector<splits> all;
  json file{{"meta", splits_meta(o, train_count, images.size() - train_count)}, {"splits", json::object()}};
  for (std::size_t i = 0; i < o.seeds; ++i) {
    all.push_back(make_splits(images, train_count, o, o.seed + i));
    file["splits"][std::to_string(o.seed + i)] = to_json(all.back());
  }
  const auto path = folder.path() / "splits.json";
  if (fs::exists(path)) {
    std::string why;
    try {
      const json found = read_json(path);
      if (!found.contains("meta") || found["meta"] != file["meta"]) why = "it was made with another seed, ratio or data set";
      else if (found != file) why = "its rows are not the ones that its seed gives";
    } catch (const modx::error& e) {
      why = e.what();
    }
    if (why.empty()) return all;
    bar.note("splits.json is ignored and rebuilt: " + why);
  }
  folder.write_text("splits.json", file.dump() + "\n");
  return all;
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

inline int run(const options& o) {
  if (o.device == "cuda")
    throw modx::error("--device cuda", "a modx built with the CUDA backend", "a build that has none; use --device cpu");
  const auto start = std::chrono::steady_clock::now();
  modx::io::progress bar({.style = o.quiet ? modx::io::progress_style::quiet : modx::io::progress_style::automatic});
  cpu backend(o.seed, o.threads);
  std::size_t train_count = 0;
  const auto images = load_images(backend, o.data_dir, train_count);
  modx::io::run_folder folder(o.save_dir);
  open_run(folder, o, backend, bar);
  const auto rows = open_splits(folder, o, images, train_count, bar);

  std::vector<json> seeds;
  for (std::size_t i = 0; i < o.seeds; ++i) {
    const std::uint64_t seed = o.seed + i;
    const std::string name = "seed-" + std::to_string(seed);
    const auto results = folder.path() / name / "results.json";
    if (o.resume && fs::exists(results)) {
      seeds.push_back(read_json(results));
      bar.note("seed " + std::to_string(seed) + ": done, read from results.json");
      continue;
    }
    seed_run one(backend, o, images, rows[i], seed, folder.path() / name, bar, [&](const json& record) {
      json line{{"seed", seed}};
      line.update(record);
      folder.append_jsonl("log.jsonl", line);
    });
    seeds.push_back(one.run());
    folder.write_text(name + "/results.json", seeds.back().dump() + "\n");
  }
  bar.end();

  json metrics = summarize(o, seeds);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  metrics["wall_seconds"] = seconds;
  folder.append_jsonl("log.jsonl", {{"event", "done"}, {"seconds", seconds}});
  folder.write_text("metrics.json", metrics.dump(2) + "\n");
  write_csv(folder.path(), metrics);
  write_report(folder.path(), read_json(folder.path() / "config.json"), metrics,
               read_log(folder.path() / "log.jsonl"), MODX_ECHARTS_JS);
  folder.manifest();
  print_table(metrics);
  std::printf("%zu seed%s in %.1f s; report: %s\n", o.seeds, o.seeds == 1 ? "" : "s", seconds,
              (folder.path() / "report.html").c_str());
  return 0;
}

}  // namespace red_mnist

int main(int argc, char** argv) {
  using namespace red_mnist;
  CLI::App app{"The MNIST modular benchmark: five label-pair domains, RED against its baselines.\n"
               "Exit status: 0 done (or stopped by Ctrl-C with everything saved), 1 failed, 2 wrong options.\n",
               "red_mnist"};
  options o;
  declare(app, o);
  try {
    auto args = hyphenated(argc, argv);
    std::reverse(args.begin(), args.end());
    app.parse(args);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  const modx::io::interrupt on_signal;
  try {
    return run(o);
  } catch (const modx::io::interrupted& e) {
    std::fprintf(stderr, "%s: everything up to here is saved; go on with the same command and --resume\n", e.what());
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "red_mnist: %s\n", e.what());
    return 1;
  }
}
