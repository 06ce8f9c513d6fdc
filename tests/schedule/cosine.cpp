// schedule::cosine: from, to, half a cosine between.
#include <modx/concepts.hpp>
#include <modx/schedule/cosine.hpp>

#include "catch.hpp"
#include "support.hpp"

using modx::schedule::cosine, support::near;
static_assert(modx::Schedule<cosine>);

TEST_CASE("schedule::cosine") {
  const cosine s{.from = 3, .to = 1, .steps = 6};
  CHECK(s(0) == 3);
  CHECK(near(s(2), 2.5));  // cos 60 degrees = 1/2
  CHECK(near(s(3), 2));
  CHECK(near(s(4), 1.5));
  CHECK(near(s(6), 1));
  CHECK(near(s(1000000), 1));
  CHECK(cosine{.steps = 0}(0) == 0);
  for (std::uint64_t i = 0; i < 6; ++i) CHECK(s(i) > s(i + 1));
}
