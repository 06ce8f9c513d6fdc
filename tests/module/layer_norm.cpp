// module::layer_norm: laws, a value by hand, its eps, errors.
#include <modx/laws/module.hpp>
#include <modx/module/layer_norm.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::layer_norm;
static_assert(modx::Module<layer_norm, cpu64> && modx::Module<layer_norm, modx::cpu>);

TEST_CASE("module::layer_norm obeys the laws of a module") {
  cpu64 backend{1, 2};
  for (const std::size_t d : {1, 6, 17})
    modx::laws::of_module(backend, layer_norm{.eps = 0.1}, {.in = d, .out = d});
}

TEST_CASE("module::layer_norm computes what it says") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, layer_norm{.eps = 0}, {.in = 4, .out = 4});
  m.find("weight").set(rows({{1, 1, 2, 1}}));
  m.find("bias").set(rows({{0, 1, 0, 0}}));
  const auto x = rows({{1, 2, 3, 6}});
  CHECK(near(m.predict(x), rows({{-2 / std::sqrt(3.5), -1 / std::sqrt(3.5) + 1, 0, 3 / std::sqrt(3.5)}})));
  auto soft = modx::build(backend, layer_norm{.eps = 10}, {.in = 4, .out = 4});
  auto hard = modx::build(backend, layer_norm{}, {.in = 4, .out = 4});
  CHECK(std::fabs(soft.predict(x)(0, 3)) < 0.8 * std::fabs(hard.predict(x)(0, 3)));  // eps counts
}

TEST_CASE("module::layer_norm says what is wrong") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, layer_norm{}, {.in = 4, .out = 8}); }),
                 "layer_norm: expected 4 columns out"));
}
