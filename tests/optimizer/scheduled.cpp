#include <modx/modx.hpp>

#include "catch.hpp"

using namespace modx;

TEST_CASE("a scheduled optimiser steps as its inner one does at the schedule's rate", "[optimizer][schedule]") {
  using spec = optimizer::scheduled<optimizer::sgd, schedule::linear>;
  static_assert(Optimizer<spec, cpu>);
  basic_cpu<double> b(3, 1);
  const auto x = b.normal(5, 2), y = b.normal(5, 2);
  auto scheduled = build(b, module::linear{}, {2, 2}), plain = build(b, module::linear{}, {2, 2});
  const spec optimizer{{.lr = 0.1}, {.from = 1, .to = 0, .steps = 4}};
  for (int step = 0; step < 6; ++step) {
    train_step(scheduled, optimizer, loss::mse{}, x, y);
    train_step(plain, optimizer::sgd{.lr = 0.1 * std::max(0.0, 1 - step / 4.0)}, loss::mse{}, x, y);
    CHECK(scheduled.find("weight").host() == plain.find("weight").host());
  }
  const auto end = scheduled.find("weight").host();
  train_step(scheduled, optimizer, loss::mse{}, x, y);
  CHECK(scheduled.find("weight").host() == end);  // the schedule has come to 0
}
