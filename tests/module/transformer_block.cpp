// module::transformer_block: laws, its definition from its parts, and what only attention can learn.
#include <modx/laws/module.hpp>
#include <modx/module/embedding.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/repeat.hpp>
#include <modx/module/sequential.hpp>
#include <modx/module/transformer_block.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx::module;
using lengths = std::vector<std::size_t>;
static_assert(modx::Module<transformer_block<>, cpu64> &&
              modx::Module<transformer_block<swiglu, rms_norm>, modx::cpu>);

TEST_CASE("module::transformer_block obeys the laws of a module") {
  constexpr modx::laws::options on_sequences{.tokens = 7, .sequences = true};
  cpu64 backend{1, 2};
  modx::laws::of_module(
      backend,
      transformer_block<>{.attention = {.heads = 2}, .f = {.hidden = 5, .act = modx::activation::gelu}},
      {.in = 4, .out = 4}, on_sequences);
  const transformer_block<swiglu, rms_norm> llama{
      .attention =
          {.heads = 4, .kv_heads = 2, .head_dim = 2, .bias = false, .rotary_base = 100, .normalised = true},
      .f = {.hidden = 5}};
  modx::laws::of_module(backend, llama, {.in = 4, .out = 4}, on_sequences);
}

TEST_CASE("module::transformer_block is x + attention(norm(x)), then + f(norm())") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, transformer_block<>{.attention = {.heads = 2}, .f = {.hidden = 5}},
                       {.in = 4, .out = 4});
  modx::laws::shake<cpu64>(m.parameters(), 3);
  const auto part = [&](const auto& spec, const std::string& name) {
    auto p = modx::build(backend, spec, {.in = 4, .out = 4});
    for (auto* own : p.parameters()) own->set(m.find(name + "." + own->name()).host());
    return p;
  };
  auto norm1 = part(layer_norm{}, "norm1"), norm2 = part(layer_norm{}, "norm2");
  auto attends = part(attention{.heads = 2}, "attention");
  auto f = part(mlp{.hidden = 5}, "f");
  const lengths list{3, 2};
  const auto x = modx::laws::draw(3, "x", 5, 4);
  const auto plus = [](modx::matrix<double> a, const modx::matrix<double>& b) {
    for (std::size_t i = 0; i < a.data.size(); ++i) a.data[i] += b.data[i];
    return a;
  };
  const auto h = plus(x, attends.predict(norm1.predict(x), list));
  CHECK(near(m.predict(x, list), plus(h, f.predict(norm2.predict(h)))));
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

TEST_CASE("module::transformer_block says what is wrong") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, transformer_block<>{}, {.in = 4, .out = 8}); }),
                 "columns out (as many as come in)"));
}
