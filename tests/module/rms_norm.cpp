// module::rms_norm: laws, a value by hand, its eps, errors.
#include <modx/laws/module.hpp>
#include <modx/module/rms_norm.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::rms_norm;
static_assert(modx::Module<rms_norm, cpu64> && modx::Module<rms_norm, modx::cpu>);

TEST_CASE("module::rms_norm obeys the laws of a module") {
  cpu64 backend{1, 2};
  for (const std::size_t d : {1, 6, 17})
    modx::laws::of_module(backend, rms_norm{.eps = 0.1}, {.in = d, .out = d});
}

TEST_CASE("module::rms_norm computes what it says") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, rms_norm{.eps = 0}, {.in = 4, .out = 4});
  m.find("weight").set(rows({{1, 1, 2, 1}}));
  const auto x = rows({{1, 2, 3, 6}});
  CHECK(near(m.predict(x),
             rows({{1 / std::sqrt(12.5), 2 / std::sqrt(12.5), 6 / std::sqrt(12.5), 6 / std::sqrt(12.5)}})));
  auto soft = modx::build(backend, rms_norm{.eps = 10}, {.in = 4, .out = 4});
  auto hard = modx::build(backend, rms_norm{}, {.in = 4, .out = 4});
  CHECK(std::fabs(soft.predict(x)(0, 3)) < 0.8 * std::fabs(hard.predict(x)(0, 3)));  // eps counts
}

TEST_CASE("module::rms_norm says what is wrong") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, rms_norm{}, {.in = 4, .out = 8}); }),
                 "rms_norm: expected 4 columns out"));
}
