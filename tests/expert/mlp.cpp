// expert::mlp: laws for every activation, a value by hand, errors.
#include <modx/expert/mlp.hpp>
#include <modx/laws/expert.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::expert::mlp;
static_assert(modx::Expert<mlp, cpu64> && modx::HasBank<mlp, cpu64> && modx::Expert<mlp, modx::cpu>);

TEST_CASE("expert::mlp obeys the laws of experts") {
  cpu64 backend{1, 1};
  for (const auto act : {modx::activation::none, modx::activation::relu, modx::activation::gelu, modx::activation::silu,
                         modx::activation::tanh})
    for (const bool bias : {true, false})
      CHECK(
          modx::laws::of_expert(backend, mlp{.hidden = 3, .act = act, .bias = bias}, {.in = 2, .out = 3}, 3).numbers >
          50);
  for (const std::size_t e : {1, 2, 5})
    CHECK(modx::laws::of_expert(backend, mlp{.hidden = 5}, {.in = 3, .out = 2}, e, {.seed = e, .tokens = 7}).numbers >
          50);
}

TEST_CASE("expert::mlp computes activation(x W1 + b1) W2 + b2") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, mlp{.hidden = 2}, {.in = 1, .out = 1});
  m.find("up.weight").set(rows({{1, -1}}));
  m.find("up.bias").set(rows({{0, 0}}));
  m.find("down.weight").set(rows({{1}, {1}}));
  m.find("down.bias").set(rows({{-1}}));
  CHECK(m.predict(rows({{3}, {-5}})) == rows({{2}, {4}}));  // |x| - 1
}

TEST_CASE("expert::mlp says what is wrong") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  CHECK(contains(message([&] { mlp::bank<cpu64>(b, mlp{.hidden = 0}, {3, 2}, 2); }),
                 "parameter '0.up.weight': expected at least one row and column, found 3 x 0"));
  auto fine = b.scope("fine");
  const mlp::bank<cpu64> two(fine, mlp{.hidden = 4}, {3, 2}, 2);
  modx::tape<cpu64> t(backend);
  CHECK(contains(message([&] { two.forward({t.input(modx::matrix<double>(4, 1)), nullptr}); }),
                 "expert: expected 1 rows of the weight (the input's width), found 3"));
}
