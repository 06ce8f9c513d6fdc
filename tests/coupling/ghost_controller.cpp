// ghost_controller: when ghosts wake and sleep, by hand.
#include <modx/coupling/ghost_controller.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::coupling::ghost_controller, modx::coupling::ghost_rules;
using schedule = ghost_rules::schedule;

namespace {

struct bench {
  ghost_rules rules{.on = 0.5, .off = 0.1, .ramp = 4};
  ghost_controller c;
  std::vector<double> redundancy;

  explicit bench(std::size_t ghosts = 2, std::size_t window = 3)
      : c{std::vector<double>(ghosts), std::vector<double>(ghosts), std::vector<double>(window, -1.0)},
        redundancy(ghosts) {}
  /// The changes of `steps` steps at this saturation.
  std::vector<int> run(double saturation, int steps) {
    std::vector<int> out;
    for (int i = 0; i < steps; ++i) out.push_back(c.advance(rules, saturation, redundancy));
    return out;
  }
};
using list = std::vector<int>;
using levels = std::vector<double>;

}  // namespace

TEST_CASE(
    "ghost_controller wakes the next ghost when saturation over a whole window is above the threshold") {
  bench b;
  CHECK(b.run(0.6, 2) == list{0, 0});  // the window isn't full
  CHECK(b.c.mean() == -1);
  CHECK(b.run(0.6, 1) == list{1});
  CHECK(b.c.level == levels{0.25, 0});
  CHECK(b.run(0.6, 3) == list{0, 0, 2});  // judged anew, when the first is there
  CHECK(b.c.level == levels{1, 0.25});
  CHECK(b.run(0.6, 20) == list(20));  // nobody is left
  CHECK(b.c.level == levels{1, 1});
}

TEST_CASE("ghost_controller takes the mean over the window, not a step") {
  bench b(1, 4);
  for (int i = 0; i < 20; ++i)
    CHECK(b.c.advance(b.rules, i % 4 == 0 ? 1.7 : 0.05, b.redundancy) == 0);  // mean 0.4625
  CHECK(b.run(1.0, 2) == list{0, 1});
}

TEST_CASE("ghost_controller: between its thresholds nothing changes, in either direction") {
  bench b;
  CHECK(b.run(0.3, 50) == list(50));
  CHECK(b.c.level == levels{0, 0});
  b.run(0.6, 20);
  CHECK(b.c.level == levels{1, 1});
  CHECK(b.run(0.3, 50) == list(50));  // above off: they stay
  CHECK(b.c.level == levels{1, 1});
  CHECK(b.run(0.5, 50) == list(50));  // at the thresholds too
  CHECK(b.run(0.1, 50) == list(50));
  CHECK(b.run(0.05, 1) == list{-2});  // last in, first out
  CHECK(b.c.level == levels{1, 0.75});
  CHECK(b.run(0.05, 3) == list{0, 0, -1});
  CHECK(b.run(0.05, 20) == list(20));
  CHECK(b.c.level == levels{0, 0});
}

TEST_CASE("ghost_controller: schedules") {
  bench binary;
  binary.rules.wake = schedule::binary;
  CHECK(binary.run(0.6, 3).back() == 1);
  CHECK(binary.c.level == levels{1, 0});
  binary.run(0.0, 3);
  CHECK(binary.c.level == levels{0, 0});
  bench selective(3);
  selective.rules.wake = schedule::selective;
  selective.redundancy = {0.9, 0.2, 0.5};
  CHECK(selective.run(0.6, 3).back() == 2);  // the least like the others
  CHECK(selective.run(0.6, 3).back() == 3);
  CHECK(selective.run(0.6, 3).back() == 1);
  CHECK(selective.run(0.0, 3).back() == -1);  // the most like the others
  bench gradual(3);
  gradual.redundancy = {0.9, 0.2, 0.5};
  CHECK(gradual.run(0.6, 3).back() == 1);
}

TEST_CASE("ghost_controller: a state carried over goes on as if nothing had happened") {
  bench whole, first;
  std::vector<int> changes = first.run(0.7, 4);
  bench second;
  second.c = first.c;
  const auto rest = second.run(0.7, 6);
  changes.insert(changes.end(), rest.begin(), rest.end());
  CHECK(changes == whole.run(0.7, 10));
  CHECK(second.c.level == whole.c.level);
}

TEST_CASE("ghost_rules: learning rates by level and schedule") {
  ghost_rules r;
  CHECK(r.rate_of(0, 0.25) == 0);
  CHECK(r.rate_of(0.5, 0.25) == 0.5);
  r.learning_rate = ghost_rules::rate::inverse;
  CHECK(r.rate_of(0.5, 0.25) == 0.375);
  CHECK(r.rate_of(1, 1) == 0);
  r.learning_rate = ghost_rules::rate::complementary;
  CHECK(near(r.rate_of(0.5, 0.25), 0.5 * 0.475));
  r.background = 0.125;
  CHECK(r.rate_of(0, 0.25) == 0.125);
}

TEST_CASE("ghost_controller says what is wrong") {
  bench b;
  CHECK(
      contains(message([&] { b.run(-0.1, 1); }), "ghost_controller: expected a saturation >= 0, found -0.1"));
  CHECK(contains(message([&] { b.run(std::nan(""), 1); }), "expected a saturation >= 0, found"));
  b.rules.off = 0.5;
  CHECK(contains(message([&] { b.run(0.2, 1); }),
                 "ghost_rules: expected 0 <= off < on, found 0.500000 and 0.500000"));
  b.rules.off = 0, b.rules.ramp = 0;
  CHECK(contains(message([&] { b.run(0.2, 1); }), "ghost_rules: expected ramp > 0, found 0"));
}
