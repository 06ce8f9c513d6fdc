#include <modx/analysis/classification.hpp>

#include <array>
#include <cmath>

#include "catch.hpp"

using namespace modx::analysis;

namespace {

bool near(double a, double b) { return std::abs(a - b) < 1e-9; }

// true\predicted   a   b   c (never true)
//              a   6   2   0
//              b   1   3   4
confusion example() {
  confusion m(3);
  m.add(0, 0, 6);
  m.add(0, 1, 2);
  m.add(1, 0);
  m.add(1, 1, 3);
  m.add(1, 2, 4);
  return m;
}

}  // namespace

TEST_CASE("analysis/classification: precision, recall and F1 by hand") {
  const scores s = example().evaluate();
  CHECK(near(s.accuracy, 9.0 / 16));
  REQUIRE(s.per_class.size() == 3);
  CHECK(near(s.per_class[0].precision, 6.0 / 7));
  CHECK(near(s.per_class[0].recall, 6.0 / 8));
  CHECK(near(s.per_class[0].f1, 0.8));
  CHECK(near(s.per_class[1].precision, 3.0 / 5));
  CHECK(near(s.per_class[1].recall, 3.0 / 8));
  CHECK(near(s.per_class[1].f1, 6.0 / 13));
  CHECK(s.per_class[2] == class_scores{0, 0, 0, 0});
  CHECK(s.per_class[0].support == 8);
}

TEST_CASE("analysis/classification: macro skips classes without support, weighted follows support") {
  confusion m = example();
  scores s = m.evaluate();
  CHECK(near(s.macro_f1, (0.8 + 6.0 / 13) / 2));  // over 2 classes, not 3
  CHECK(near(s.macro_precision, (6.0 / 7 + 3.0 / 5) / 2));
  CHECK(near(s.macro_recall, (6.0 / 8 + 3.0 / 8) / 2));
  m.add(0, 0, 16);  // a: 22 of 24, b: 3 of 8; called a: 23, called b: 5
  s = m.evaluate();
  CHECK(near(s.weighted_precision, 0.75 * 22.0 / 23 + 0.25 * 3.0 / 5));
  CHECK(near(s.weighted_recall, s.accuracy));
  CHECK(near(s.weighted_f1, 0.75 * 44.0 / 47 + 0.25 * 6.0 / 13));
}

TEST_CASE("analysis/classification: no samples give zeros, a perfect model ones") {
  const scores none = confusion(4).evaluate();
  CHECK(none.accuracy == 0);
  CHECK(none.macro_f1 == 0);
  CHECK(none.weighted_f1 == 0);
  confusion perfect(2);
  perfect.add(1, 1, 5);
  CHECK(near(perfect.evaluate().macro_f1, 1));
  CHECK(near(perfect.evaluate().weighted_precision, 1));
}

TEST_CASE("analysis/classification: runs add up") {
  confusion a = example();
  a += example();
  CHECK(a.total() == 32);
  CHECK(a.count(1, 2) == 8);
  CHECK(near(a.evaluate().macro_f1, example().evaluate().macro_f1));
  const std::array<int, 3> truth{0, 1, 1}, predicted{0, 1, 0};
  confusion b(2);
  b.add<int>(truth, predicted);
  CHECK(b.correct() == 2);
  CHECK(b.count(1, 0) == 1);
}

TEST_CASE("analysis/classification: wrong classes are errors and change nothing") {
  confusion m(3);
  CHECK_THROWS_WITH(m.add(3, 0), "modx: analysis::confusion: true class: expected 0 to 2, found 3");
  CHECK_THROWS_WITH(m.add(0, -1), "modx: analysis::confusion: predicted class: expected 0 to 2, found -1");
  CHECK_THROWS_AS(m.add(0, 0, -1), modx::error);
  CHECK_THROWS_AS(m += confusion(2), modx::error);
  CHECK_THROWS_AS(confusion(0), modx::error);
  CHECK_THROWS_AS(confusion(std::int64_t{1} << 40), modx::error);
  CHECK(m == confusion(3));
}
