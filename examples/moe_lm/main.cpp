// Small language models whose experts are whole transformer blocks that talk to each other, and their
// baselines.
#include <cstdio>
#include <modx/io/interrupt.hpp>
#include <modx/io/progress.hpp>
#include <modx/io/run_folder.hpp>

#include "../program/build.hpp"
#include "../program/json.hpp"
#include "../program/run.hpp"
#include "report.hpp"

namespace moe_lm {

namespace fs = std::filesystem;

/// The records of a log by step; a resumed run may repeat some, and the later ones count.
inline std::vector<json> read_log(const fs::path& file) {
  std::map<std::uint64_t, json> by_step;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto record = json::parse(line, nullptr, false);
    if (record.is_object() && record.contains("step")) by_step[record["step"].get<std::uint64_t>()] = record;
  }
  std::vector<json> log;
  for (auto& [step, record] : by_step) log.push_back(std::move(record));
  return log;
}

inline void print_table(const json& m) {
  std::string head = "mode        parameters     tokens  train loss  perplexity";
  for (const auto& [name, p] : m.at("domain_perplexity").items()) head += "  " + name;
  std::printf("%s  tokens/s\n", head.c_str());
  std::printf("%-10s %11.0f %10.0f %11.4f %11.3f", m.at("mode").get<std::string>().c_str(),
              m.at("parameters").get<double>(), m.at("tokens").get<double>(),
              m.at("train_loss").get<double>(), m.at("perplexity").get<double>());
  for (const auto& [name, p] : m.at("domain_perplexity").items())
    std::printf("  %*.3f", int(std::max<std::size_t>(name.size(), 1)), p.get<double>());
  std::printf("  %8.0f\n", m.at("tokens_per_second").get<double>());
}

/// One evaluation as a line on the screen.
inline std::string sentence(const options& o, const json& r) {
  char line[160];
  const double speed = r.at("tokens_per_second").get<double>();
  const double left = r.at("seconds").get<double>() * (double(o.steps) / r.at("step").get<double>() - 1);
  std::snprintf(line, sizeof line,
                "%s  step %.0f of %zu  loss %.3f  perplexity %.3f  %.0f tokens/s  %.0f s to go",
                o.mode.c_str(), r.at("step").get<double>(), o.steps, r.at("train_loss").get<double>(),
                r.at("perplexity").get<double>(), speed, left);
  return line;
}

int run(options o, const CLI::App& app) {
  const auto start = std::chrono::steady_clock::now();
  const auto config = fs::path(o.save_dir) / "config.json";
  if (o.resume) {
    if (!fs::exists(config))
      throw modx::error("--resume", "an earlier run in " + o.save_dir, "no config.json there");
    const json was = program::read_json(config);
    adopt(o, app, was.is_object() && was.contains("options") ? was.at("options") : json(), config.string());
  } else if (fs::exists(config)) {
    throw modx::error("--save-dir " + o.save_dir, "a folder without a run (or --resume to go on with it)",
                      "an earlier run's config.json");
  }
  const corpus data = load_corpus(o);
  modx::cpu backend(o.seed, o.threads);
  modx::io::progress bar(
      {.style = o.quiet ? modx::io::progress_style::quiet : modx::io::progress_style::automatic});
  trainer run(backend, o, data);
  modx::io::run_folder folder(o.save_dir);
  modx::io::checkpoint_store store(o.save_dir, "training", 2);
  bool resumed = false;
  if (o.resume) {
    if (const auto last = store.load_newest()) {
      for (const auto& message : last->messages) bar.note(message);
      run.restore(*last), resumed = true;
      bar.note("going on after step " + std::to_string(run.step));
    } else {
      bar.note("no checkpoint in " + o.save_dir + ": starting anew");
    }
  } else {
    folder.write_text("config.json", json{{"program", "moe_lm"},
                                          {"options", to_json(o)},
                                          {"git", MODX_GIT},
                                          {"compiler", __VERSION__},
                                          {"threads", backend.threads()}}
                                             .dump(2) +
                                         "\n");
  }

  const auto look = [&] {
    const auto found = run.evaluate();
    const json record = run.record(found);
    folder.append_jsonl("log.jsonl", record);
    if (run.step && found.loss < run.best) {
      run.best = found.loss;
      modx::io::save(run.model(), folder.path("best.safetensors"), "*",
                     {{"step", std::to_string(run.step)}, {"options", to_json(o).dump()}});
    }
    return record;
  };
  if (!resumed) look();
  while (!run.done()) {
    run.train_step();
    if (run.step % o.eval_every == 0 || run.done()) bar.note(sentence(o, look()));
    const bool stop = modx::io::interrupt::requested();
    if (stop || run.done() || run.step % o.save_every == 0) run.save(store);
    if (stop && !run.done()) throw modx::io::interrupted("step " + std::to_string(run.step));
  }

  const auto log = read_log(folder.path() / "log.jsonl");
  if (log.empty() || log.back().at("step") != o.steps)
    throw modx::error(o.save_dir + "/log.jsonl", "the last step's record", "none");
  json metrics{{"mode", o.mode},
               {"parameters", run.model().parameter_count()},
               {"hidden", run.model().spec().hidden},
               {"products_per_token", products_of(run.model().spec())}};
  metrics.update(log.back());
  metrics["best_perplexity"] = std::exp(run.best);
  metrics["valid_tokens"] = data.valid.targets;
  if (o.block_experts()) metrics["specialisation_at_start"] = log.front().at("specialisation");
  for (std::size_t l = 0; o.block_experts() && o.mode != "uncoupled" && l < o.layers; ++l)
    metrics["connections"].push_back(connections(run.model(), l));
  for (std::size_t l = 0; l < o.layers; ++l)
    if (const auto w = hyperedge_weights(run.model(), l); !w.empty()) metrics["hyperedge_weights"].push_back(w);
  folder.write_text("metrics.json", metrics.dump(2) + "\n");
  write_report(folder.path(), o, metrics, log, run.model(), MODX_ECHARTS_JS);
  folder.manifest();
  print_table(metrics);
  std::printf("%.1f s%s; report: %s\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
              o.resume ? " since resumed" : "", (folder.path() / "report.html").c_str());
  return 0;
}

}  // namespace moe_lm

int main(int argc, char** argv) {
  using namespace moe_lm;
  CLI::App app{
      "Language models of coupled experts: gnn, hgnn, orthogonal, ghost; uncoupled, dense and topk beside them.\n"
      "Exit status: 0 done (or stopped by Ctrl-C with everything saved), 1 failed, 2 wrong options.\n",
      "moe_lm"};
  options o;
  declare(app, o);
  if (const auto status = program::parse(app, argc, argv)) return *status;
  if (const auto wrong = contradiction(o); !o.resume && !wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    return 2;
  }
  return program::guarded("moe_lm", "--resume --save-dir " + o.save_dir, [&] { return run(o, app); });
}
