// expert::transformer_block: laws, a bank equals its experts one by one, causality, the count, errors.
#include <modx/expert/transformer_block.hpp>
#include <modx/laws/expert.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/uniform.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::mixture;
using lengths = std::vector<std::size_t>;
static_assert(modx::HasBank<modx::expert::transformer_block, cpu64> &&
              modx::Expert<modx::expert::transformer_block, cpu64>);

namespace {
constexpr modx::laws::options on_sequences{.tokens = 7, .sequences = true};
}  // namespace

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

TEST_CASE("expert::transformer_block says what is wrong") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  const modx::expert::transformer_block::bank<cpu64> bank(b, {.heads = 2}, {4, 4}, 2);
  modx::tape<cpu64> t(backend);
  const std::int32_t offsets[] = {0, 1, 2};
  CHECK(contains(message([&] { bank.forward({t.input(modx::matrix<double>(2, 4)), offsets}); }),
                 "a dense router"));
}
