// orthogonality_controller: strengths by layer, schedule and score; collapse and plateau fire, and only then.
#include <modx/loss/orthogonality_controller.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::loss::orthogonality_controller, modx::loss::orthogonality_rules;
using schedule = orthogonality_rules::schedule;

namespace {
const orthogonality_rules flat{
    .lowest = 1e-6, .highest = 1e6, .decay = schedule::constant, .every = 10, .window = 4};
/// One adaptation after another, all layers at `score`.
void run(orthogonality_controller& c, std::vector<double> score, const std::vector<double>& losses) {
  for (const double loss : losses) CHECK(c.advance(c.step + c.rules.every, score, loss));
}
}  // namespace

TEST_CASE("orthogonality_controller starts with a strength that falls with depth") {
  const orthogonality_controller c(3);
  CHECK(near(c.strengths()[0], 0.1));
  CHECK(near(c.strengths()[1], 0.08));
  CHECK(near(c.strengths()[2], 0.064));
}

TEST_CASE("orthogonality_controller adapts each layer to its own score, at multiples of `every` only") {
  orthogonality_controller c(3, flat);
  CHECK_FALSE(c.advance(0, {0.5, 0.5, 0.5}, 1));
  CHECK_FALSE(c.advance(9, {0.5, 0.5, 0.5}, 1));
  CHECK(c.advance(10, {0.5, 0.95, 1}, 1));
  CHECK(near(c.boosts[0], 1.5));
  CHECK(near(c.boosts[1], 1));
  CHECK(near(c.boosts[2], 0.7));
  CHECK(near(c.strengths()[0], 0.15));
  CHECK(c.advance(20, {0.5, 0.95, 0.95}, 0.5));
  CHECK(near(c.strengths()[0], 0.225));
  CHECK(near(c.boosts[2], 0.7));
}

TEST_CASE("orthogonality_controller: what the limits cut off is not owed") {
  auto rules = flat;
  rules.highest = 0.2, rules.lowest = 0.05;
  orthogonality_controller c(1, rules);
  run(c, {0.5}, {1, 0.9, 0.8, 0.7, 0.6});
  CHECK(near(c.strengths()[0], 0.2));
  run(c, {1.0}, {0.5});
  CHECK(near(c.strengths()[0], 0.14));
}

TEST_CASE("orthogonality_controller: schedules fall from 1 to the lowest over 20 adaptations") {
  for (const auto decay : {schedule::cosine, schedule::linear, schedule::step, schedule::exponential}) {
    auto rules = flat;
    rules.decay = decay, rules.lowest = 0.01, rules.every = 500;
    orthogonality_controller c(1, rules);
    CHECK(near(c.decayed(), 1));
    double last = 1;
    for (c.step = 500; c.step <= 10000; c.step += 500) {
      CHECK(c.decayed() <= last);
      last = c.decayed();
    }
    c.step = 10000;
    const double end = decay == schedule::exponential ? std::exp(-1)
                       : decay == schedule::step      ? 0.0625
                                                      : 0.01;
    CHECK(near(c.decayed(), end, 1e-12));
  }
  orthogonality_controller c(1, flat);
  c.step = 100000;
  CHECK(c.decayed() == 1);
}

TEST_CASE(
    "orthogonality_controller: a collapse of the scores doubles all strengths while the loss still falls") {
  orthogonality_controller c(2, flat), calm(2, flat);
  run(c, {0.95, 0.95}, {1.0}), run(calm, {0.95, 0.95}, {1.0});
  run(calm, {0.94, 0.94}, {0.9});
  CHECK_FALSE(calm.collapsed);
  CHECK(near(calm.boosts[0], 1));
  run(c, {0.94, 0.70}, {0.9});  // mean 0.95 -> 0.82
  CHECK(c.collapsed);
  CHECK(c.emergency());
  CHECK(near(c.boosts[0], 2));
  CHECK(near(c.boosts[1], 3));
  run(c, {0.95, 0.95}, {0.8, 0.7, 0.6, 0.5});
  CHECK_FALSE(c.collapsed);  // it has left the window
}

TEST_CASE("orthogonality_controller: a plateau of the loss ends the emergency") {
  orthogonality_controller c(1, flat);
  run(c, {0.95}, {1.0, 1.0});
  run(c, {0.80}, {1.0});
  CHECK(c.emergency());  // three losses are no plateau yet
  run(c, {0.80}, {0.999});
  CHECK(c.plateaued);
  CHECK((c.collapsed && !c.emergency()));
  run(c, {0.80}, {0.5});
  CHECK_FALSE(c.plateaued);
}

TEST_CASE("orthogonality_controller: a copy goes on as the original") {
  orthogonality_controller a(2, flat);
  run(a, {0.5, 0.9}, {1, 0.9, 0.8});
  auto b = a;
  run(a, {0.3, 0.9}, {0.7}), run(b, {0.3, 0.9}, {0.7});
  CHECK(a == b);
}

TEST_CASE("orthogonality_controller says what is wrong") {
  orthogonality_controller c(2, flat);
  CHECK(contains(message([&] { c.advance(10, {0.5}, 1); }),
                 "orthogonality_controller: expected 2 scores (one a layer), found 1"));
  CHECK(contains(message([&] { c.advance(10, {0.5, 1.5}, 1); }),
                 "orthogonality_controller: expected scores from 0 to 1, found 1.5"));
  CHECK(contains(message([] { orthogonality_controller(1, {.lowest = 0}); }),
                 "orthogonality_rules: expected 0 < lowest <= highest"));
  CHECK(contains(message([] { orthogonality_controller(1, {.every = 0}); }),
                 "orthogonality_rules: expected every > 0"));
}
