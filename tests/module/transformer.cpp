// The modules of transformers: laws, definitions by hand, who sees whom, a model that learns, errors.
#include <modx/expert/transformer_block.hpp>
#include <modx/laws/expert.hpp>
#include <modx/module/embedding.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/repeat.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/router/uniform.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx::module;
using lengths = std::vector<std::size_t>;

static_assert(modx::Module<embedding, cpu64> && modx::Module<attention, cpu64> &&
              modx::Module<swiglu, modx::cpu>);
static_assert(modx::Module<transformer_block<>, cpu64> &&
              modx::Module<transformer_block<swiglu, rms_norm>, modx::cpu>);
static_assert(modx::HasBank<modx::expert::transformer_block, cpu64> &&
              modx::Expert<modx::expert::transformer_block, cpu64>);

namespace {
constexpr modx::laws::options on_sequences{.tokens = 7, .sequences = true};
const auto llama = transformer_block<swiglu, rms_norm>{
    .attention =
        {.heads = 4, .kv_heads = 2, .head_dim = 2, .bias = false, .rotary_base = 100, .normalised = true},
    .f = {.hidden = 5}};
}  // namespace

TEST_CASE("modules of transformers obey the laws of a module") {
  cpu64 backend{1, 2};
  modx::laws::of_module(backend, layer_norm{}, {.in = 6, .out = 6});
  modx::laws::of_module(backend, rms_norm{}, {.in = 6, .out = 6});
  for (const auto act : {modx::activation::silu, modx::activation::gelu})
    modx::laws::of_module(backend, swiglu{.hidden = 5, .act = act}, {.in = 4, .out = 3});
  for (const bool causal : {true, false})
    for (const std::size_t kv : {1, 2})
      modx::laws::of_module(backend, attention{.heads = 2, .kv_heads = kv, .causal = causal},
                            {.in = 6, .out = 4}, on_sequences);
  modx::laws::of_module(backend, attention{.heads = 2, .head_dim = 4, .rotary_base = 50, .normalised = true},
                        {.in = 6, .out = 6}, on_sequences);
  modx::laws::of_module(
      backend,
      transformer_block<>{.attention = {.heads = 2}, .f = {.hidden = 5, .act = modx::activation::gelu}},
      {.in = 4, .out = 4}, on_sequences);
  modx::laws::of_module(backend, repeat<transformer_block<swiglu, rms_norm>>{.inner = llama, .count = 2},
                        {.in = 4, .out = 4}, on_sequences);
}

TEST_CASE("embedding looks up rows and adds places; every parameter moves") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, embedding{.vocabulary = 3, .positions = 4}, {.in = 1, .out = 2});
  m.find("weight").set(rows({{1, 2}, {3, 4}, {5, 6}}));
  m.find("position").set(rows({{0, 0.5}, {10, 0}, {20, 0}, {30, 0}}));
  CHECK(m.predict(rows({{2}, {0}, {2}, {1}}), lengths{3, 1}) == rows({{5, 6.5}, {11, 2}, {25, 6}, {3, 4.5}}));
  CHECK(contains(message([&] { m.predict(rows({{2}, {3}}), lengths{2}); }),
                 "id of token 1: expected 0 <= id < 3, found 3"));
  CHECK(contains(message([&] { m.predict(rows({{2}, {0.5}}), lengths{2}); }), "found -1"));
  CHECK(contains(message([&] { m.predict(rows({{2}}), {}); }), "embedding: expected the sequences"));
  CHECK(contains(message([&] { m.predict(modx::matrix<double>(5, 1), lengths{5}); }),
                 "sequences of at most 4 tokens, found 5"));
  CHECK(contains(message([&] { modx::build(backend, embedding{.vocabulary = 3}, {.in = 2, .out = 2}); }),
                 "column in (an id)"));
  const auto table = m.find("weight").host(), places = m.find("position").host();
  modx::train_step(m, modx::optimizer::adamw{.lr = 0.1, .weight_decay = 0},
                   [](auto y, const auto& want) { return modx::ops::mean(modx::ops::square(y - want)); },
                   rows({{2}, {0}}), modx::matrix<double>(2, 2), {.sequences = lengths{2}});
  CHECK(m.find("weight").host().row(0)[0] != table.row(0)[0]);
  CHECK(m.find("weight").host().row(1)[0] == table.row(1)[0]);  // id 1 did not occur
  CHECK(m.find("position").host().row(1)[0] != places.row(1)[0]);
}

TEST_CASE("a transformer learns what only attention can: the token two places back") {
  modx::cpu backend{1, 2};
  constexpr std::size_t vocabulary = 8, length = 12, count = 16;
  const auto spec =
      sequential{embedding{.vocabulary = vocabulary, .out = 16, .positions = length},
                 repeat<transformer_block<>>{
                     .inner = {.attention = {.heads = 2}, .f = {.hidden = 32, .act = modx::activation::gelu}},
                     .count = 2},
                 layer_norm{}, linear{}};
  auto m = modx::build(backend, spec, {.in = 1, .out = vocabulary});
  const lengths list(count, length);
  double first = 0, last = 0;
  for (std::uint64_t step = 0; step < 150; ++step) {
    const modx::random_stream random(step, "tokens");
    modx::matrix<float> x(count * length, 1);
    std::vector<std::int32_t> want(x.rows);
    for (std::size_t i = 0; i < x.rows; ++i) {
      x.data[i] = float(random.below(i, vocabulary));
      want[i] = i % length < 2 ? 0 : std::int32_t(x.data[i - 2]);
    }
    const double loss = modx::train_step(m, modx::optimizer::adamw{.lr = 5e-3}, modx::loss::cross_entropy{},
                                         x, want, {.sequences = list});
    if (step == 0) first = loss;
    last = loss;
  }
  INFO(first << " -> " << last);
  CHECK(first > 1.9);
  CHECK(last < 0.3);
}

TEST_CASE("expert::transformer_block: a bank equals its experts one by one, and is causal") {
  cpu64 backend{1, 2};
  const modx::expert::transformer_block spec{.heads = 2, .hidden = 6};
  modx::laws::of_module(backend, spec, {.in = 4, .out = 4}, on_sequences);
  const auto mixed = mixture{.experts = spec, .router = modx::router::uniform{}, .n_experts = 3};
  modx::laws::of_module(backend, mixed, {.in = 4, .out = 4}, on_sequences);
  auto m = modx::build(backend, mixed, {.in = 4, .out = 4});
  modx::laws::shake<cpu64>(m.parameters(), 3);
  auto& t = m.tape_of_step();
  t.reset();
  const lengths list{3, 5};
  t.context.sequence = t.sequences_of(list);
  const auto x = modx::laws::draw(3, "x", 8, 4);
  const auto in = t.input(x);
  modx::matrix<double> mean(8, 4);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto y = m.bound().expert(i, in).host();
    for (std::size_t k = 0; k < y.data.size(); ++k) mean.data[k] += y.data[k] / 3;
  }
  const auto y = m.forward(in).host();
  t.reset();
  CHECK(near(y, mean));
  for (std::size_t token = 0; token < 8; ++token) {
    auto changed = x;
    changed(token, 1) += 1;
    const auto z = m.predict(changed, list);
    for (std::size_t r = 0; r < 8; ++r) {
      const bool may = r >= token && (token < 3) == (r < 3);
      CHECK(may == (std::fabs(z(r, 0) - y(r, 0)) > 0));
    }
  }
  // 12 d^2 + 13 d parameters at 4 d hidden
  CHECK(modx::build(backend, modx::expert::transformer_block{.heads = 2}, {.in = 8, .out = 8})
            .parameter_count() == 12 * 64 + 13 * 8);
}

TEST_CASE("modules of transformers say what is wrong") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, attention{.heads = 3}, {.in = 4, .out = 4}); }),
                 "attention: expected heads that divide 4 columns, found 3"));
  CHECK(contains(
      message([&] { modx::build(backend, attention{.heads = 2, .normalised = true}, {.in = 4, .out = 4}); }),
      "rotary_base > 0"));
  CHECK(contains(message([&] { modx::build(backend, transformer_block<>{}, {.in = 4, .out = 8}); }),
                 "columns out (as many as come in)"));
  CHECK(contains(message([&] { modx::build(backend, layer_norm{}, {.in = 4, .out = 8}); }), "layer_norm"));
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  const modx::expert::transformer_block::bank<cpu64> bank(b, {.heads = 2}, {4, 4}, 2);
  modx::tape<cpu64> t(backend);
  const std::int32_t offsets[] = {0, 1, 2};
  CHECK(contains(message([&] { bank.forward({t.input(modx::matrix<double>(2, 4)), offsets}); }),
                 "a dense router"));
}
