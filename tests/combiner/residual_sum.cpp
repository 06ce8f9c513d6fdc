// combiner::residual_sum: base + s sum y_e, whatever the router says.
#include <modx/combiner/residual_sum.hpp>
#include <modx/laws/combiner.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::combiner::residual_sum;
using modx::outputs, modx::dense_routing;
static_assert(modx::Combiner<residual_sum, cpu64, outputs<cpu64>, dense_routing<cpu64>>);
static_assert(!modx::Combiner<residual_sum, cpu64, modx::slot_outputs<cpu64>, modx::top_k_routing<cpu64>>);

TEST_CASE("combiner::residual_sum obeys the laws of combiners") {
  cpu64 backend{1, 1};
  for (const double scale : {0.1, 1.0, -2.0})
    for (const std::size_t e : {1, 3})
      CHECK(modx::laws::of_combiner(backend, residual_sum{scale}, e, 4, {.seed = e}).numbers > 50);
}

TEST_CASE("combiner::residual_sum adds every expert in full") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto base = t.input(rows({{1, 2}})), y = t.input(rows({{10, 20, 30, 40}}));
  for (const double p : {0.0, 0.25}) {
    const auto w = t.input(rows({{p, 1 - p}}));
    CHECK(near(residual_sum{0.5}.combine(base, outputs<cpu64>{y, 2}, dense_routing<cpu64>{{w}, {w}}).host(),
               rows({{21, 32}})));
  }
}

TEST_CASE("combiner::residual_sum says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto base = t.input(rows({{1, 2, 3}})), y = t.input(rows({{10, 20, 30, 40}})), w = t.input(rows({{0.5, 0.5}}));
  CHECK(contains(message([&] { residual_sum{}.combine(base, outputs<cpu64>{y, 2}, dense_routing<cpu64>{{w}, {w}}); }),
                 "add: expected 1 x 3, found 1 x 2"));
}
