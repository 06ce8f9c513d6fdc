// Splits: complete, by range, disjoint where asked, and the overlap of the published way measured.
#include <arithmetic/split.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace arithmetic;
using support::contains, support::message;

namespace {

/// Rows of each range in a list.
std::vector<std::size_t> by_range(const std::vector<question>& all, const std::vector<std::int32_t>& rows) {
  std::vector<std::size_t> count(ranges.size());
  for (const auto i : rows) ++count[std::size_t(range_of(all[std::size_t(i)].answer))];
  return count;
}

}  // namespace

TEST_CASE("every row is in one list, and each range has its share") {
  const auto all = addition(5000, 42);
  for (const bool disjoint : {true, false}) {
    const auto s = split(all, 0.1, 0.2, 1, disjoint);
    std::vector<int> seen(all.size());
    for (const auto* rows : {&s.train, &s.val, &s.test})
      for (const auto i : *rows) ++seen.at(std::size_t(i));
    CHECK(seen == std::vector<int>(all.size(), 1));
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      const double off = disjoint ? 15 : 0;  // a text's rows go together
      CHECK(double(by_range(all, s.val)[r]) >= 100 - off);
      CHECK(by_range(all, s.val)[r] <= 100);
      CHECK(double(by_range(all, s.test)[r]) >= 200 - off);
      CHECK(by_range(all, s.test)[r] <= 200);
    }
    CHECK(split(all, 0.1, 0.2, 1, disjoint) == s);
    CHECK_FALSE(split(all, 0.1, 0.2, 2, disjoint) == s);
  }
}

TEST_CASE("a disjoint split has no question twice; the published one nearly all of them") {
  const auto all = addition(20000, 42);
  const auto apart = overlap(all, split(all, 0.1, 0.1, 1, true)),
             published = overlap(all, split(all, 0.1, 0.1, 1, false));
  CHECK(apart.val == 0);
  CHECK(apart.test == 0);
  CHECK(published.val > 0.99);
  CHECK(published.test > 0.99);
  const std::vector<std::string> text{"a", "b", "a", "c"};
  CHECK(overlap(text, {{0}, {1, 2}, {3}}).val == 0.5);
  CHECK(overlap(text, {{0}, {1, 2}, {3}}).test == 0);
  CHECK(overlap(text, {{0}, {}, {3}}).val == 0);
}

TEST_CASE("shares that are none, and a text of two strata, are refused") {
  CHECK(contains(message([] { split(addition(10, 1), 0.6, 0.5, 1, true); }), "shares"));
  CHECK(contains(message([] { split(addition(10, 1), -0.1, 0.5, 1, true); }), "shares"));
  CHECK(contains(message([] { split({"a", "a"}, {0, 1}, 0.1, 0.1, 1, true); }), "one stratum"));
}
