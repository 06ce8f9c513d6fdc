// expert::linear: laws, errors.
#include <modx/expert/linear.hpp>
#include <modx/laws/expert.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::expert::linear;
static_assert(modx::Expert<linear, cpu64> && modx::HasBank<linear, cpu64> && modx::Expert<linear, modx::cpu>);

TEST_CASE("expert::linear obeys the laws of experts") {
  cpu64 backend{1, 1};
  for (const bool bias : {true, false})
    for (const std::size_t e : {1, 2, 3, 5})
      CHECK(modx::laws::of_expert(backend, linear{bias}, {.in = 3, .out = 2}, e).numbers > 50);
  CHECK(modx::laws::of_expert(backend, linear{}, {.in = 7, .out = 9}, 3, {.seed = 2, .tokens = 9}).numbers > 50);
  CHECK(modx::laws::of_expert(backend, linear{}, {.in = 1, .out = 1}, 4, {.tokens = 1}).numbers > 10);
}

TEST_CASE("expert::linear computes x W + b") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, linear{}, {.in = 2, .out = 1});
  m.find("weight").set(rows({{2}, {-3}}));
  m.find("bias").set(rows({{0.5}}));
  CHECK(m.predict(rows({{1, 1}, {4, 2}})) == rows({{-0.5}, {2.5}}));
  CHECK(modx::build(backend, linear{.bias = false}, {.in = 2, .out = 1}).parameter_count() == 2);
}

TEST_CASE("expert::linear says what is wrong") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1, "experts");
  CHECK(contains(message([&] { linear::bank<cpu64>(b, linear{}, {3, 0}, 2); }),
                 "parameter 'experts.0.weight': expected at least one row and column, found 3 x 0"));
  auto fine = b.scope("fine");
  const linear::bank<cpu64> two(fine, linear{}, {3, 2}, 2);
  modx::tape<cpu64> t(backend);
  const auto x = t.input(modx::matrix<double>(4, 5));
  CHECK(contains(message([&] {
                   two.forward({x, nullptr});
                 }),
                 "expert: expected 5 rows of the weight (the input's width), found 3"));
  CHECK(contains(message([&] { two.one(0, x); }), "linear: expected 5 rows of the weight"));
}
