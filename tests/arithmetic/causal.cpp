// Training of a causal model on prompt -> answer: what is learned, what is masked, and resuming with the same
// bits.
#include <arithmetic/causal.hpp>
#include <arithmetic/digit_tokenizer.hpp>
#include <modx/backend/cpu.hpp>
#include <modx/io/stage_runner.hpp>
#include <modx/model/generate.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/scheduled.hpp>
#include <modx/schedule/linear.hpp>
#include <modx/schedule/warmup.hpp>

#include "catch.hpp"
#include "io/io_support.hpp"
#include "support.hpp"

using namespace arithmetic;
using support::contains, support::message;

namespace {

/// "9ab" -> "ba" and the end, for digits a, b: with rotary positions only, "aa" -> "aa" could not be counted.
std::vector<causal_example> reversals() {
  std::vector<causal_example> all;
  for (std::int32_t a = 1; a < 9; ++a)
    for (std::int32_t b = 1; b < 9; ++b) all.push_back({{9, a, b}, {b, a, 0}});
  return all;
}
std::vector<std::int32_t> rows(std::int32_t from, std::int32_t to) {
  std::vector<std::int32_t> list;
  for (; from < to; ++from) list.push_back(from);
  return list;
}
const modx::fit_options options{.name = "reverse",
                                .seed = 3,
                                .max_epochs = 4,
                                .batch_size = 8,
                                .virtual_batch_size = 16,
                                .patience = 0,
                                .clip_norm = 1};
auto rate(std::uint64_t steps) {
  return modx::optimizer::scheduled{
      modx::optimizer::adamw{.lr = 1e-2},
      modx::schedule::warmup<modx::schedule::linear>{.steps = 3, .then = {.steps = steps}}};
}
template <class M>
std::vector<modx::matrix<float>> values(const M& model) {
  std::vector<modx::matrix<float>> all;
  for (auto* p : model.parameters()) all.push_back(p->host());
  return all;
}

}  // namespace

TEST_CASE("a tiny model learns to turn pairs round, also ones it has not seen, and to stop") {
  modx::cpu backend(1, 2);
  const auto data = reversals();
  auto m = modx::build(backend, tiny(10, 32, 2), {1, 10}, 1);
  std::vector<std::int32_t> train, test;
  for (std::int32_t i = 0; i < 64; ++i) (i % 8 == (i / 8 + 3) % 8 ? test : train).push_back(i);
  auto o = options;
  o.max_epochs = 80, o.virtual_batch_size = 8;
  causal_fitter fit(m, rate(80 * 7), data, train, test, o);
  modx::epoch_record first, last;
  while (!fit.done()) {
    last = fit.run_epoch();
    if (last.epoch == 1) first = last;
  }
  INFO(first.loss << " " << last.loss << " " << last.validation_accuracy);
  CHECK(last.loss < 0.1 * first.loss);
  CHECK(last.accuracy == 1);
  CHECK(last.validation_accuracy >= 0.75);
  const std::vector<std::vector<std::int32_t>> prompt{data[5].prompt};
  const auto said = modx::generate(m, prompt, {.max_tokens = 9, .stop = {0}});
  CHECK(said[0] == data[5].answer);
}

TEST_CASE("only tokens of answers are targets: the loss is that of these rows") {
  const auto data = reversals();
  const causal_batch b(data, std::vector<std::int32_t>{0, 9});
  CHECK(b.x.data == std::vector<float>{9, 1, 1, 1, 1, 9, 2, 2, 2, 2});
  CHECK(b.lengths == std::vector<std::size_t>{5, 5});
  CHECK(b.rows == std::vector<std::int32_t>{2, 3, 4, 7, 8, 9});
  CHECK(b.target == std::vector<std::int32_t>{1, 1, 0, 2, 2, 0});
  modx::cpu backend(1, 1);
  auto m = modx::build(backend, tiny(10, 16, 1), {1, 10}, 1);
  const auto all = m.predict(b.x, b.lengths);
  auto& t = m.tape_of_step();
  t.reset();
  t.context.sequence = t.sequences_of(b.lengths);
  const auto some = b.logits(m.bound(), t, t.input(b.x)).host();
  REQUIRE(some.rows == b.rows.size());
  for (std::size_t r = 0; r < some.rows; ++r)
    CHECK(std::equal(some.row(r).begin(), some.row(r).end(), all.row(std::size_t(b.rows[r])).begin()));
  CHECK(contains(message([&] { causal_batch({{{}, {1}}}, std::vector<std::int32_t>{0}); }),
                 "a token of the prompt"));
  CHECK(contains(message([&] { causal_batch({{{1}, {}}}, std::vector<std::int32_t>{0}); }),
                 "one of the answer"));
}

TEST_CASE("the best epoch of the validation loss is kept") {
  modx::cpu backend(1, 1);
  auto data = reversals();
  for (std::size_t i = 56; i < 64; ++i)
    std::swap(data[i].answer[0], data[i].answer[1]);  // learning makes these worse
  auto m = modx::build(backend, tiny(10, 16, 1), {1, 10}, 1);
  auto o = options;
  o.max_epochs = 30, o.patience = 2, o.virtual_batch_size = 8;
  causal_fitter fit(m, modx::optimizer::adamw{.lr = 1e-2}, data, rows(0, 56), rows(56, 64), o);
  std::vector<double> losses;
  std::vector<std::vector<modx::matrix<float>>> after;
  while (!fit.done()) losses.push_back(fit.run_epoch().validation_loss), after.push_back(values(m));
  CHECK(losses.size() < 30);
  fit.restore_best();
  CHECK(values(m) == after[fit.stopping().best_epoch() - 1]);
  CHECK_FALSE(values(m) == after.back());
  CHECK(
      contains(message([&] { causal_fitter(m, modx::optimizer::adamw{}, data, rows(0, 4), rows(0, 0), o); }),
               "validation examples"));
  CHECK(
      contains(message([&] { causal_fitter(m, modx::optimizer::adamw{}, data, rows(0, 0), rows(0, 4), o); }),
               "training example"));
}

TEST_CASE(
    "interrupted after any epoch and resumed, training ends with the same bits, at any number of threads") {
  const auto data = reversals();
  std::vector<nlohmann::ordered_json> log;
  const auto train = [&](const modx::test::fs::path& folder, bool resume, std::size_t stop_after,
                         int threads) {
    modx::cpu backend(1, threads);
    auto m = modx::build(backend, tiny(10, 16, 2), {1, 10}, 1);
    const modx::io::interrupt on_signal;
    log.clear();
    modx::io::progress bar({.style = modx::io::progress_style::quiet});
    modx::io::stage_runner stages(
        folder, resume, 0, bar,
        [&](const auto& record) {
          log.push_back(record);
          if (log.size() == stop_after) ::raise(SIGTERM);
        },
        "");
    const std::vector<std::string> everything{"*"};
    try {
      stages.run_fit("language", m, everything, 56, options, {{"lr", 1e-2}},
                     [&] { return causal_fitter(m, rate(14), data, rows(0, 56), rows(56, 64), options); });
    } catch (const modx::io::interrupted&) {
    }
    return values(m);
  };
  const modx::test::temp_folder whole;
  const auto expected = train(whole.path(), false, 0, 1);
  REQUIRE(log.size() == 4);
  CHECK(log[0].contains("val_loss"));
  CHECK(log[0]["lr"] == 1e-2);
  CHECK(train(whole.path(), true, 0, 1) == expected);  // read from its file
  CHECK(log.empty());
  for (const std::size_t stop : {1, 2, 3}) {
    const modx::test::temp_folder folder;
    train(folder.path(), false, stop, 2);
    CHECK(train(folder.path(), true, 0, 3) == expected);
    CHECK(log.size() == 4 - stop);
  }
}
