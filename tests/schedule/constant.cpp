// schedule::constant: the same value at every step.
#include <modx/concepts.hpp>
#include <modx/schedule/constant.hpp>

#include "catch.hpp"

using modx::schedule::constant;
static_assert(modx::Schedule<constant>);

TEST_CASE("schedule::constant") {
  CHECK(constant{}(0) == 1);
  CHECK(constant{0.25}(0) == 0.25);
  CHECK(constant{0.25}(~std::uint64_t(0)) == 0.25);
}
