// combiner::oracle: the output of the token's own domain.
#include <modx/combiner/oracle.hpp>
#include <modx/laws/combiner.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::combiner::oracle;
using modx::outputs, modx::dense_routing;
static_assert(modx::CombinesDomains<oracle, cpu64, outputs<cpu64>>);
static_assert(modx::Combiner<oracle, cpu64, outputs<cpu64>, dense_routing<cpu64>>);

TEST_CASE("combiner::oracle obeys the laws of combiners") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 2, 5})
    CHECK(modx::laws::of_combiner(backend, oracle{}, e, 3, {.seed = e}).numbers > 50);
}

TEST_CASE("combiner::oracle picks the output of the domain") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}}));
  const std::vector<std::int32_t> domain = {1, 0, 1};
  CHECK(oracle{}.combine(outputs<cpu64>{y, 2}, {t.input(modx::ids(domain)), 3}).host() ==
        rows({{3, 4}, {5, 6}, {11, 12}}));
}

TEST_CASE("combiner::oracle says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 2, 3, 4}, {5, 6, 7, 8}}));
  for (const auto& bad : {std::vector<std::int32_t>{0, 2}, {0, -1}})
    CHECK(contains(message([&] { oracle{}.combine(outputs<cpu64>{y, 2}, {t.input(modx::ids(bad)), 2}); }),
                   "pick_expert, id of token 1: expected 0 <= id < 2, found " + std::to_string(bad[1])));
  const std::vector<std::int32_t> one = {0};
  CHECK(contains(message([&] { oracle{}.combine(outputs<cpu64>{y, 2}, {t.input(modx::ids(one)), 1}); }),
                 "combiner::oracle: expected 2 domain ids, found 1"));
}
