// The experts that answer steps: every mode is its own, and a run's files give back what was trained.
#include <modx/backend/cpu.hpp>
#include <modx/io/stage_runner.hpp>
#include <step_decomposer/steps.hpp>

#include "catch.hpp"
#include "io/io_support.hpp"
#include "support.hpp"

using namespace step_decomposer;

namespace {

options small() {
  options o;
  o.questions = 400, o.base_width = 16, o.base_blocks = 1, o.base_batch_size = 32, o.seed = 3;
  o.max_epochs_backbone = 2, o.max_epochs_base = 15, o.max_epochs_expert = 20, o.max_epochs_router = 5,
  o.patience = 0;
  o.base_ratio = 1, o.lr_base = 5e-3, o.lr_expert = 3e-2, o.lr_router = 1e-2;
  return o;
}

}  // namespace

TEST_CASE(
    "base, RED, MoE and the sum of experts answer each in their own way, and the same from their files") {
  const auto o = small();
  modx::cpu backend(o.seed, 2);
  const modx::test::temp_folder folder;
  step_experts trained(backend, o), loaded(backend, o), fresh(backend, o);
  modx::io::progress bar({.style = modx::io::progress_style::quiet});
  std::vector<std::string> stages;
  modx::io::stage_runner runner(
      folder.path(), false, 1e9, bar,
      [&](const auto& record) {
        const auto name = record["stage"].template get<std::string>();
        if (stages.empty() || stages.back() != name) stages.push_back(name);
      },
      "");
  const auto accuracy = trained.train(runner);
  CHECK(stages ==
        std::vector<std::string>{"backbone", "base", "expert_0", "expert_1", "router", "moe_router"});
  loaded.load(folder.path());
  const auto steps = arithmetic::balanced(100, 9, {arithmetic::operation::add, arithmetic::operation::sub});
  std::set<std::vector<std::optional<int>>> different;
  for (const auto& mode : step_experts::modes()) {
    INFO(mode);
    const auto answers = trained.answer(mode, steps);
    CHECK(answers == loaded.answer(mode, steps));
    CHECK(answers != fresh.answer(mode, steps));
    for (const auto& a : answers) CHECK((a && *a >= 2 && *a <= 100));
    CHECK(different.insert(answers).second);
    CHECK((accuracy[mode].get<double>() >= 0 && accuracy[mode].get<double>() <= 1));
  }
  const auto all = trained.questions();
  const auto rows = arithmetic::split(all, 0.1, 0.1, o.seed, true);
  const auto text = all[std::size_t(rows.train[0])].text, other = all[std::size_t(rows.test[0])].text;
  const auto program = [](const std::string& question) {
    return std::vector{arithmetic::parse_expression(question.substr(8, question.size() - 9))};
  };
  CHECK(trained.seen(program(text)) == 1);
  CHECK(trained.seen(program(other)) == 0);
  CHECK(support::contains(support::message([&] { trained.answer("other", steps); }),
                          "base, all_fixed, moe or red"));
}
