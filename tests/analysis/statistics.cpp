#include <modx/analysis/statistics.hpp>

#include <cmath>
#include <limits>

#include "catch.hpp"

using namespace modx::analysis;

TEST_CASE("analysis/statistics: mean and sample standard deviation") {
  const summary s = summarize({2, 4, 4, 4, 5, 5, 7, 9});
  CHECK(s.mean == 5);
  CHECK(std::abs(s.sd - std::sqrt(32.0 / 7.0)) < 1e-15);  // n - 1, not n (which gives 2)
  CHECK(s.values.size() == 8);
  CHECK(s.spread());
}

TEST_CASE("analysis/statistics: one value has sd 0 and says so") {
  const summary s = summarize({0.25});
  CHECK(s.mean == 0.25);
  CHECK(s.sd == 0);
  CHECK_FALSE(s.spread());
}

TEST_CASE("analysis/statistics: no digits are lost far from 0, and NaN is kept") {
  CHECK(std::abs(sample_sd(std::vector<double>{1e9 + 1, 1e9 + 2, 1e9 + 3}) - 1) < 1e-9);
  CHECK(std::isnan(summarize({1, std::numeric_limits<double>::quiet_NaN()}).mean));
}

TEST_CASE("analysis/statistics: no value is an error") {
  CHECK_THROWS_AS(summarize({}), modx::error);
  CHECK_THROWS_WITH(mean({}), "modx: analysis::mean: expected at least one value, found none");
}
