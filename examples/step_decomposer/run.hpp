// A run: data, language model, experts, programs, execution; and a trained one that is asked.
#pragma once
#include <iostream>
#include <modx/io/run_folder.hpp>

#include "../program/json.hpp"
#include "../red/run.hpp"
#include "language.hpp"
#include "report.hpp"
#include "steps.hpp"

namespace step_decomposer {

namespace fs = std::filesystem;

struct programs {
  std::vector<arithmetic::expression> list;
  std::vector<std::string> text;
  arithmetic::row_lists rows;
};
inline programs load_programs(const options& o) {
  programs p{o.data.empty() ? arithmetic::chains(o.programs, o.seed)
                            : arithmetic::read_expressions(arithmetic::schema::programs, o.data),
             {},
             {}};
  std::vector<std::int32_t> stratum;
  for (const auto& e : p.list) {
    p.text.push_back(e.text());
    stratum.push_back(arithmetic::range_of(*e.value()) +
                      std::int32_t(arithmetic::ranges.size() * e.op.size()));
    for (const auto op : e.op)
      if (op != arithmetic::operation::add && op != arithmetic::operation::sub)
        throw modx::error(o.data + ", \"" + e.text() + "\"", "plus and minus only", "another operation");
    for (const int x : e.operand)
      if (x < 0)
        throw modx::error(o.data + ", \"" + e.text() + "\"", "no negative operand", std::to_string(x));
  }
  p.rows = arithmetic::split(p.text, stratum, o.val_ratio, o.test_ratio, o.seed, true);
  for (const auto& [rows, name] : {std::pair(&p.rows.train, "training"), std::pair(&p.rows.val, "validation"),
                                   std::pair(&p.rows.test, "test")})
    if (rows->empty())
      throw modx::error("the programs", std::string("one for ") + name + " at least",
                        "none: " + std::to_string(p.list.size()) + " programs in all");
  return p;
}

/// The language model and its tokens.
struct writer {
  codec tokens;
  modx::model<modx::qwen3, modx::cpu> model;
  std::vector<std::string> trained{"*"};

  static modx::model<modx::qwen3, modx::cpu> make(modx::cpu& backend, const options& o, const codec& tokens) {
    if (!o.backbone.empty()) return modx::io::load_qwen3(backend, o.backbone, o.trained_blocks);
    return modx::build(backend, arithmetic::tiny(tokens.vocabulary, o.width, o.blocks),
                       {1, tokens.vocabulary}, o.seed);
  }
  writer(modx::cpu& backend, const options& o)
      : tokens(o.backbone.empty() ? digits() : of_folder(o.backbone)), model(make(backend, o, tokens)) {
    if (o.backbone.empty()) return;
    trained = {"norm.weight"};
    for (std::size_t i = model.spec().blocks - o.trained_blocks; i < model.spec().blocks; ++i)
      trained.push_back("blocks." + std::to_string(i) + ".*");
  }
  /// The file of the stage holds what was trained.
  void load(const fs::path& folder) {
    const auto values = modx::io::load_values<float>(folder / "language.safetensors");
    for (const auto& [name, m] : values) model.find(name).set(m);
    model.train_only(trained);
    std::size_t expected = 0;
    for (auto* p : model.parameters()) expected += p->trainable();
    modx::expect_equal((folder / "language.safetensors").c_str(), "tensors", expected, values.size());
  }
};

/// The folder of a run, new or the one to go on with.
inline void open_folder(modx::io::run_folder& folder, const options& o, modx::cpu& backend) {
  if (o.resume) return;
  const json config{
      {"program", "step_decomposer"}, {"options", to_json(o)},   {"git", MODX_GIT},
      {"compiler", __VERSION__},      {"cpu", red::cpu_model()}, {"threads", backend.threads()}};
  folder.write_text("config.json", config.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}
/// Options of the run in --save-dir.
inline void adopt(options& o, const CLI::App& app) {
  const auto config = fs::path(o.save_dir) / "config.json";
  if (!fs::exists(config))
    throw modx::error("--save-dir " + o.save_dir, "an earlier run", "no config.json there");
  const json was = program::read_json(config);
  if (!was.is_object() || was.value("program", json()) != "step_decomposer")
    throw modx::error(config.string(), "a run of step_decomposer", "something else");
  program::adopt_fields(app, was.value("options", json()), config.string(), o.resume ? "--resume" : "--ask",
                        [&](auto&& f) { each_field(o, f); });
  if (const auto wrong = contradiction(o); !wrong.empty())
    throw modx::error(config.string(), "options that go together", wrong);
}

inline int run(options o, const CLI::App& app) {
  const auto start = std::chrono::steady_clock::now();
  if (o.resume)
    adopt(o, app);
  else if (fs::exists(fs::path(o.save_dir) / "config.json"))
    throw modx::error("--save-dir " + o.save_dir, "a folder without a run (or --resume to go on with it)",
                      "an earlier run's config.json");
  const auto data = load_programs(o);
  modx::cpu backend(o.seed, o.threads);
  modx::io::progress bar(
      {.style = o.quiet ? modx::io::progress_style::quiet : modx::io::progress_style::automatic});
  writer w(backend, o);
  step_experts experts(backend, o);
  modx::io::run_folder folder(o.save_dir);
  open_folder(folder, o, backend);
  modx::io::stage_runner stages(
      folder.path(), o.resume, o.checkpoint_seconds, bar,
      [&](const json& record) {
        json line{{"seed", o.seed}};
        line.update(record);
        folder.append_jsonl("log.jsonl", line);
      },
      "");

  {
    const auto examples = examples_of(data.list, w.tokens);
    const std::size_t n = data.rows.train.size();
    const modx::fit_options fit{.name = "language",
                                .seed = o.seed,
                                .max_epochs = o.max_epochs,
                                .batch_size = o.batch_size,
                                .virtual_batch_size = o.batch_size,
                                .patience = 0,
                                .clip_norm = 1};
    stages.run_fit("language", w.model, w.trained, n, fit, {{"lr", o.lr}}, [&] {
      return arithmetic::causal_fitter(w.model,
                                       scheduled(o.lr, o.weight_decay, n, o.batch_size, o.max_epochs),
                                       examples, data.rows.train, data.rows.val, fit);
    });
  }
  const auto questions = experts.train(stages);

  std::vector<arithmetic::expression> gold;
  std::vector<std::string> asked;
  for (const auto i : data.rows.test)
    gold.push_back(data.list[std::size_t(i)]), asked.push_back(data.text[std::size_t(i)]);
  const auto found = write_programs(w.model, w.tokens, asked, o.max_tokens);
  std::vector<std::optional<arithmetic::expression>> written, right(gold.begin(), gold.end());
  for (const auto& r : found) written.push_back(r.program);

  const auto overlaps = arithmetic::overlap(data.text, data.rows);
  json m{{"format", 1},
         {"parameters",
          {{"language", w.model.parameter_count()},
           {"encoder", experts.encoder_parameters()},
           {"red", experts.parameters()}}},
         {"programs", score_programs(gold, found)},
         {"answers", json::object()},
         {"answers_of_right_programs", json::object()},
         {"questions", questions},
         {"steps_seen", experts.seen(gold)}};
  for (const auto& mode : mode_texts()) {
    const std::string name = mode.name;
    const answerer answer =
        name == "exact" ? answerer(exact) : [&](std::span<const arithmetic::expression> steps) {
          return experts.answer(name, steps);
        };
    m["answers"][name] = score_answers(gold, execute(written, answer));
    m["answers_of_right_programs"][name] = score_answers(gold, execute(right, answer));
  }
  const auto check = [&](const char* name, bool ok, const std::string& detail) {
    m["checks"].push_back({{"name", name}, {"ok", ok}, {"detail", detail}});
  };
  check("no expression is in two splits", overlaps.val == 0 && overlaps.test == 0,
        std::to_string(data.rows.train.size()) + " + " + std::to_string(data.rows.val.size()) + " + " +
            std::to_string(data.rows.test.size()) + " programs");
  check("exact arithmetic on the right programs gives every answer",
        m["answers_of_right_programs"]["exact"]["all"]["acc"] == 1.0, "");
  m["timing"] = stages.seconds();
  m["wall_seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  stages.finish();
  bar.end();
  folder.write_text("metrics.json", m.dump(2) + "\n");
  write_report(folder.path() / "report.html", program::read_json(folder.path() / "config.json"), m,
               red::read_log(folder.path() / "log.jsonl"), MODX_ECHARTS_JS);
  folder.manifest();
  print_table(m);
  std::printf("%.1f s%s; report: %s\n", m["wall_seconds"].get<double>(), o.resume ? " since resumed" : "",
              (folder.path() / "report.html").c_str());
  return 0;
}

/// Program, steps and answer for an expression; without one, for every line of standard input.
inline int ask(options o, const CLI::App& app, const std::string& expression) {
  adopt(o, app);
  if (!fs::exists(fs::path(o.save_dir) / "metrics.json"))
    throw modx::error("--save-dir " + o.save_dir, "a finished run (--resume goes on with it)",
                      "no metrics.json there");
  modx::cpu backend(o.seed, o.threads);
  writer w(backend, o);
  w.load(o.save_dir);
  step_experts experts(backend, o);
  experts.load(o.save_dir);
  const auto answer = [&](const std::string& text) {
    const auto e = arithmetic::parse_expression(text);
    for (const auto op : e.op)
      if (op != arithmetic::operation::add && op != arithmetic::operation::sub)
        throw modx::error("\"" + text + "\"", "plus and minus only", "another operation");
    if (e.op.empty()) throw modx::error("\"" + text + "\"", "an operation", "none");
    std::vector<std::string> said;
    const auto read = write_programs(w.model, w.tokens, {e.text()}, o.max_tokens, 1, &said)[0];
    std::printf("%s\n", said[0].c_str());
    if (!read.program) return void(std::printf("no program: %s\n", read.failure.c_str()));
    std::vector<std::vector<std::optional<int>>> results;
    const std::vector<std::optional<arithmetic::expression>> one{read.program};
    for (const auto& mode : mode_texts()) {
      const std::string name = mode.name;
      results.push_back(execute(
          one, name == "exact" ? answerer(exact) : [&](std::span<const arithmetic::expression> steps) {
            return experts.answer(name, steps);
          })[0]);
      std::printf("%-10s", mode.name);
      for (const auto& r : results.back()) std::printf(" %s", r ? std::to_string(*r).c_str() : "none");
      std::printf("\n");
    }
    const auto last = results.back().back();
    std::printf("answer: %s\n", last ? std::to_string(*last).c_str() : "none");
  };
  if (!expression.empty()) return answer(expression), 0;
  int status = 0;
  for (std::string line; !modx::io::interrupt::requested() && std::getline(std::cin, line);) {
    try {
      if (!line.empty()) answer(line);
    } catch (const modx::error& e) {
      std::fprintf(stderr, "%s\n", e.what());
      status = 1;
    }
    std::fflush(stdout);
  }
  return status;
}

}  // namespace step_decomposer
