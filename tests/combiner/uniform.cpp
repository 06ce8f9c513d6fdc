// combiner::uniform: mean of the outputs, or log of the mean of their softmaxes.
#include <modx/combiner/uniform.hpp>
#include <modx/laws/combiner.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::combiner::uniform;
using modx::outputs, modx::dense_routing;
static_assert(modx::Combiner<uniform, cpu64, outputs<cpu64>, dense_routing<cpu64>>);
static_assert(!modx::Combiner<uniform, cpu64, modx::slot_outputs<cpu64>, modx::top_k_routing<cpu64>>);

TEST_CASE("combiner::uniform obeys the laws of combiners") {
  cpu64 backend{1, 1};
  for (const auto of : {uniform::average::outputs, uniform::average::softmaxes})
    for (const std::size_t e : {1, 2, 5})
      for (const std::size_t m : {1, 4})
        CHECK(modx::laws::of_combiner(backend, uniform{of}, e, m, {.seed = e + m}).numbers > 25);
}

TEST_CASE("combiner::uniform averages outputs or softmaxes") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const double l3 = std::log(3.0);
  const auto y = t.input(rows({{0, 0, l3, 0}})), w = t.input(rows({{1, 0}}));  // softmaxes (1/2, 1/2) and (3/4, 1/4)
  const outputs<cpu64> two{y, 2};
  const dense_routing<cpu64> r{{w}, {w}};
  CHECK(near(uniform{}.combine(two, r).host(), rows({{l3 / 2, 0}})));
  CHECK(near(uniform{uniform::average::softmaxes}.combine(two, r).host(), rows({{std::log(0.625), std::log(0.375)}})));
}

TEST_CASE("combiner::uniform stays finite where every softmax is 0") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{2000, 0, 1000, 0}})), w = t.input(rows({{1, 0}}));
  const auto z =
      uniform{uniform::average::softmaxes}.combine(outputs<cpu64>{y, 2}, dense_routing<cpu64>{{w}, {w}}).host();
  CHECK(near(z(0, 0), 0));
  CHECK(std::isfinite(z(0, 1)));
}
