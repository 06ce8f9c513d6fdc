// expert::low_rank: laws, a value by hand, errors.
#include <modx/expert/low_rank.hpp>
#include <modx/laws/expert.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::expert::low_rank;
static_assert(modx::Expert<low_rank, cpu64> && modx::HasBank<low_rank, cpu64> && modx::Expert<low_rank, modx::cpu>);

TEST_CASE("expert::low_rank obeys the laws of experts") {
  cpu64 backend{1, 1};
  for (const auto act : {modx::activation::none, modx::activation::relu, modx::activation::gelu, modx::activation::silu,
                         modx::activation::tanh})
    CHECK(modx::laws::of_expert(backend, low_rank{.rank = 2, .act = act}, {.in = 3, .out = 4}, 3).numbers > 50);
  for (const std::size_t e : {1, 2, 5})
    CHECK(modx::laws::of_expert(backend, low_rank{.rank = 1}, {.in = 2, .out = 2}, e, {.seed = e}).numbers > 50);
}

TEST_CASE("expert::low_rank computes activation(x U) V without biases") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, low_rank{.rank = 1}, {.in = 2, .out = 2});
  m.find("u").set(rows({{1}, {-2}}));
  m.find("v").set(rows({{3, 0.5}}));
  CHECK(m.predict(rows({{4, 1}, {0, 1}, {0, 0}})) == rows({{6, 1}, {0, 0}, {0, 0}}));
  CHECK(m.parameter_count() == 4);
}

TEST_CASE("expert::low_rank says what is wrong") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, low_rank{.rank = 0}, {.in = 3, .out = 2}); }),
                 "parameter 'u': expected at least one row and column, found 3 x 0"));
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  CHECK(contains(message([&] { low_rank::bank<cpu64>(b, low_rank{.rank = 0}, {3, 2}, 2); }), "parameter '0.u'"));
}
