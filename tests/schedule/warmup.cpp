// schedule::warmup: a line up to another schedule, which then starts at its own step 0.
#include <modx/concepts.hpp>
#include <modx/schedule/linear.hpp>
#include <modx/schedule/warmup.hpp>

#include "catch.hpp"
#include "support.hpp"

using modx::schedule::linear, modx::schedule::warmup, support::near;
static_assert(modx::Schedule<warmup<>> && modx::Schedule<warmup<warmup<linear>>>);

TEST_CASE("schedule::warmup") {
  const warmup<linear> s{.steps = 4, .then = {.from = 2, .to = 0, .steps = 10}};
  CHECK(near(s(0), 0.5));
  CHECK(near(s(3), 2));
  CHECK(near(s(4), 2));
  CHECK(near(s(9), 1));
  CHECK(near(s(14), 0));
  CHECK(warmup<>{.steps = 0}(0) == 1);
  CHECK(near(warmup<>{.steps = 10}(4), 0.5));
}
