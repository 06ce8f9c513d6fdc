// The MNIST modular benchmark: residual expert decomposition against a global head, oracle, uniform and MoE.
#include "csv.hpp"
#include "metrics.hpp"
#include "report.hpp"
#include "seed_run.hpp"

#ifdef MODX_CUDA
#include <modx/backend/cuda.hpp>
#endif

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
  modx::io::check_json_budget(bytes.text(), file);
  try {
    return json::parse(bytes.text());
  } catch (const json::exception& e) {
    throw modx::error(file.string(), "JSON", e.what());
  }
}
/// A seed's results are written with their checksum, so that a resumed run believes no others.
inline std::string sum_of(const json& results) {
  return modx::io::checksum().add(std::string_view(results.dump())).hex();
}
inline std::optional<json> read_results(const fs::path& file, modx::io::progress& bar) {
  if (!fs::exists(file)) return {};
  try {
    json all = read_json(file);
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

/// The folder of a run: new, or an earlier run of the same options when resuming.
template <modx::Backend B>
void open_run(modx::io::run_folder& folder, const options& o, const B& backend, modx::io::progress& bar) {
  const json wanted = to_json(o);
  const auto file = folder.path() / "config.json";
  if (fs::exists(file)) {
    if (!o.resume)
      throw modx::error("--save-dir " + o.save_dir, "a folder without a run (or --resume to go on with it)",
                        "an earlier run's config.json");
    const json found = read_json(file);
    if (!found.is_object() || !found.contains("options") || !found["options"].is_object())
      throw modx::error(file.string(), "an object \"options\"", "none");
    for (const auto& [key, value] : wanted.items()) {
      const json& was = found["options"].contains(key) ? found["options"][key] : json();
      if (was == value) continue;
      std::string name = key;
      std::replace(name.begin(), name.end(), '_', '-');
      throw modx::error("--resume with another --" + name, was.dump() + ", as the run in " + o.save_dir + " was started with",
                        value.dump());
    }
    return;
  }
  if (o.resume) bar.note("nothing to resume in " + o.save_dir + ": starting anew");
  json config{{"program", "red_mnist"}, {"options", wanted}, {"data_dir", o.data_dir}, {"backend", B::name()},
              {"git", MODX_GIT}, {"compiler", __VERSION__}, {"cpu", cpu_model()}};
  if constexpr (requires { backend.threads(); }) config["threads"] = backend.threads();
  folder.write_text("config.json", config.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

/// Leaves splits.json in the folder, with a message where there was another one.
inline void keep_splits(modx::io::run_folder& folder, const options& o, const std::vector<splits>& all,
                        std::size_t train_count, modx::io::progress& bar) {
  json file{{"meta", splits_meta(o, train_count, all[0].test.size())}, {"splits", json::object()}};
  for (std::size_t i = 0; i < all.size(); ++i) file["splits"][std::to_string(o.seed + i)] = to_json(all[i]);
  const auto path = folder.path() / "splits.json";
  if (fs::exists(path)) {
    std::string why;
    try {
      const json found = read_json(path);
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

template <modx::Backend B>
int run_on(B& backend, const options& o) {
  if (!fs::is_directory(o.data_dir))
    throw modx::error("--data-dir " + o.data_dir, "a folder with the four files of MNIST (scripts/demo.sh fetches them)",
                      "no such folder");
  const auto start = std::chrono::steady_clock::now();
  modx::io::progress bar({.style = o.quiet ? modx::io::progress_style::quiet : modx::io::progress_style::automatic});
  std::size_t train_count = 0;
  const auto images = load_images(backend, o.data_dir, train_count);
  std::vector<splits> rows;
  for (std::size_t i = 0; i < o.seeds; ++i) {
    rows.push_back(make_splits(images, train_count, o, o.seed + i));
    expect_rows(rows.back(), images.domain, o);
  }
  modx::io::run_folder folder(o.save_dir);
  open_run(folder, o, backend, bar);
  keep_splits(folder, o, rows, train_count, bar);

  std::vector<json> seeds;
  for (std::size_t i = 0; i < o.seeds; ++i) {
    const std::uint64_t seed = o.seed + i;
    const std::string name = "seed-" + std::to_string(seed);
    if (auto results = o.resume ? read_results(folder.path() / name / "results.json", bar) : std::nullopt) {
      seeds.push_back(std::move(*results));
      bar.note("seed " + std::to_string(seed) + ": done, read from results.json");
      continue;
    }
    seed_run one(backend, o, images, rows[i], seed, folder.path() / name, bar, [&](const json& record) {
      json line{{"seed", seed}};
      line.update(record);
      folder.append_jsonl("log.jsonl", line);
    });
    seeds.push_back(one.run());
    const json sealed{{"xxh128", sum_of(seeds.back())}, {"results", seeds.back()}};
    folder.write_text(name + "/results.json", sealed.dump() + "\n");
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
  std::printf("%zu seed%s in %.1f s%s; report: %s\n", o.seeds, o.seeds == 1 ? "" : "s", seconds, o.resume ? " since resumed" : "",
              (folder.path() / "report.html").c_str());
  return 0;
}

/// The same program on either backend.
inline int run(const options& o) {
  if (o.device == "cpu") {
    modx::cpu backend(o.seed, o.threads);
    return run_on(backend, o);
  }
#ifdef MODX_CUDA
  modx::cuda backend(o.seed);
  return run_on(backend, o);
#else
  throw modx::error("--device cuda", "a modx built with the CUDA backend", "a build that has none; use --device cpu");
#endif
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
