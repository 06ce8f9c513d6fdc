// module::mlp: laws, values by hand, errors.
#include <modx/laws/module.hpp>
#include <modx/module/mlp.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::mlp;
static_assert(modx::Module<mlp, cpu64> && modx::Module<mlp, modx::cpu>);

TEST_CASE("module::mlp obeys the laws of a module") {
  cpu64 backend{1, 1};
  for (const auto act : {modx::activation::none, modx::activation::relu, modx::activation::gelu, modx::activation::silu,
                         modx::activation::tanh})
    for (const bool bias : {true, false})
      modx::laws::of_module(backend, mlp{.hidden = 5, .act = act, .bias = bias}, {.in = 4, .out = 3});
  for (const std::size_t hidden : {1, 9, 17})
    for (const std::uint64_t seed : {7, 8})
      CHECK(modx::laws::of_module(backend, mlp{.hidden = hidden}, {.in = 2, .out = 3}, {.seed = seed}).numbers > 0);
}

TEST_CASE("module::mlp computes activation(x W1 + b1) W2 + b2") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, mlp{.hidden = 2}, {.in = 2, .out = 1});
  m.find("up.weight").set(rows({{1, -1}, {2, 0.5}}));
  m.find("up.bias").set(rows({{0.5, 0}}));
  m.find("down.weight").set(rows({{3}, {-2}}));
  m.find("down.bias").set(rows({{1}}));
  // (1, 1): relu(3.5, -0.5) = (3.5, 0) -> 11.5;  (-1, 2): relu(3.5, 2) -> 10.5 - 4 + 1 = 7.5
  CHECK(m.predict(rows({{1, 1}, {-1, 2}})) == rows({{11.5}, {7.5}}));
  CHECK(m.parameter_count() == 9);
}

TEST_CASE("module::mlp says what is wrong") {
  cpu64 backend{1, 1};
  const auto text = message([&] { modx::build(backend, mlp{.hidden = 0}, {.in = 3, .out = 2}); });
  CHECK(contains(text, "parameter 'up.weight': expected at least one row and column, found 3 x 0"));
  auto m = modx::build(backend, mlp{}, {.in = 3, .out = 2});
  modx::tape<cpu64> t(backend);
  CHECK(contains(message([&] { m.forward(t.input(modx::matrix<double>(2, 5))); }),
                 "linear: expected 5 rows of the weight"));
}
