// schedule::linear: from, to, and the line between.
#include <modx/concepts.hpp>
#include <modx/schedule/linear.hpp>

#include "catch.hpp"
#include "support.hpp"

using modx::schedule::linear, support::near;
static_assert(modx::Schedule<linear>);

TEST_CASE("schedule::linear") {
  const linear s{.from = 2, .to = 1, .steps = 4};
  CHECK(s(0) == 2);
  CHECK(near(s(1), 1.75));
  CHECK(near(s(3), 1.25));
  CHECK(s(4) == 1);
  CHECK(s(1000000) == 1);
  CHECK(linear{.from = 2, .to = 1, .steps = 0}(0) == 1);
  CHECK(linear{.from = 0, .to = 1, .steps = 2}(1) == 0.5);
}
