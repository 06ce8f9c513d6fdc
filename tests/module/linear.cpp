// module::linear: laws, a product by hand, errors.
#include <modx/laws/module.hpp>
#include <modx/module/linear.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::linear;
static_assert(modx::Module<linear, cpu64> && modx::Module<linear, modx::cpu>);
static_assert(modx::Expert<linear, cpu64>);

TEST_CASE("module::linear obeys the laws of a module") {
  cpu64 backend{1, 1};
  for (const auto act : {modx::activation::none, modx::activation::relu, modx::activation::gelu, modx::activation::silu,
                         modx::activation::tanh})
    for (const bool bias : {true, false})
      CHECK(modx::laws::of_module(backend, linear{.bias = bias, .act = act}, {.in = 4, .out = 3}).numbers > 12);
  for (const std::size_t in : {1, 7, 33})
    for (const std::size_t out : {1, 5})
      for (const std::uint64_t seed : {3, 4})
        CHECK(modx::laws::of_module(backend, linear{}, {.in = in, .out = out}, {.seed = seed, .tokens = 3}).numbers >
              0);
}

TEST_CASE("module::linear computes activation(x W + b)") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, linear{}, {.in = 2, .out = 3});
  m.find("weight").set(rows({{1, 2, 3}, {-1, 4, 0.5}}));
  m.find("bias").set(rows({{10, 20, -30}}));
  CHECK(m.predict(rows({{1, 2}, {0, 0}})) == rows({{9, 30, -26}, {10, 20, -30}}));
  CHECK(m.parameter_count() == 9);

  auto r = modx::build(backend, linear{.bias = false, .act = modx::activation::relu}, {.in = 2, .out = 3});
  r.find("weight").set(rows({{1, 2, 3}, {-1, 4, 0.5}}));
  CHECK(r.predict(rows({{1, 2}, {1, -1}})) == rows({{0, 10, 4}, {2, 0, 2.5}}));
  CHECK(r.parameter_count() == 6);
}

TEST_CASE("module::linear starts within 1 / sqrt(in)") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, linear{}, {.in = 100, .out = 50});
  double largest = 0, sum = 0;
  for (const double w : m.find("weight").host().data) largest = std::fmax(largest, std::fabs(w)), sum += w * w;
  CHECK(largest <= 0.1);
  CHECK(largest > 0.099);
  CHECK(near(sum / 5000, 0.01 / 3, 0.001));  // variance of U(-0.1, 0.1)
  for (const double b : m.find("bias").host().data) CHECK(std::fabs(b) <= 0.1);
}

TEST_CASE("module::linear says what is wrong") {
  cpu64 backend{1, 1};
  const auto no_width = message([&] { modx::build(backend, linear{}, {.in = 3, .out = 0}); });
  CHECK(contains(no_width, "parameter 'weight': expected at least one row and column, found 3 x 0"));
  CHECK(contains(message([&] { modx::build(backend, linear{}, {.in = 0, .out = 2}); }), "columns in > 0, found 0"));
  auto m = modx::build(backend, linear{}, {.in = 3, .out = 2});
  CHECK(contains(message([&] { m.predict(modx::matrix<double>(1, 4)); }), "predict: expected 3 columns, found 4"));
  modx::tape<cpu64> t(backend);
  CHECK(contains(message([&] { m.forward(t.input(modx::matrix<double>(1, 4))); }),
                 "linear: expected 4 rows of the weight"));
  CHECK(contains(message([&] { m.find("weight").set(modx::matrix<double>(2, 3)); }),
                 "'weight': expected 3 x 2, found 2 x 3"));
  CHECK(contains(message([&] { m.find("up"); }), "no parameter called 'up'"));
}
