// optimizer::sgd: values by hand; momentum, weight decay, scales and frozen parameters.
#include <modx/optimizer/sgd.hpp>

#include "catch.hpp"
#include "fixture.hpp"

using namespace support;
using modx::optimizer::sgd;
static_assert(modx::Optimizer<sgd, cpu64> && modx::Optimizer<sgd, modx::cpu> && std::regular<sgd>);

TEST_CASE("optimizer::sgd computes w -= lr g") {
  two_parameters f;
  f.backward(rows({{1, -2, 0}}), rows({{4}, {0.5}}));
  f.step(sgd{.lr = 0.5});
  CHECK(f.p.host() == rows({{0.5, 2, 1}}));
  CHECK(f.q.host() == rows({{0}, {1.75}}));
  CHECK_FALSE(f.p.has_moment(0));  // no momentum, no memory
  CHECK(f.p.updates == 1);
}

TEST_CASE("optimizer::sgd computes m = momentum m + g + decay w; w -= lr m") {
  two_parameters f;
  const sgd o{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01};
  double m[3] = {0, 0, 0}, w[3] = {1, 1, 1};
  for (int step = 0; step < 4; ++step) {
    const double g[3] = {1.0 + step, -2, 0};
    f.backward(rows({{g[0], g[1], g[2]}}), rows({{1}, {1}}));
    f.step(o);
    for (int i = 0; i < 3; ++i) m[i] = 0.9 * m[i] + g[i] + 0.01 * w[i], w[i] -= 0.1 * m[i];
    CHECK(near(f.p.host(), rows({{w[0], w[1], w[2]}})));
  }
  CHECK(f.p.has_moment(0));
  CHECK_FALSE(f.p.has_moment(1));
  CHECK(f.p.updates == 4);
}

TEST_CASE("optimizer::sgd scales the learning rate and the gradients, not the decay") {
  two_parameters f;
  f.backward(rows({{1, -2, 0}}), rows({{4}, {0}}));
  f.step(sgd{.lr = 0.5, .weight_decay = 0.1}, 2, 0.25);  // w -= 0.5 2 (0.25 g + 0.1 w)
  CHECK(near(f.p.host(), rows({{1 - 0.35, 1 + 0.4, 0.9}})));
  CHECK(near(f.q.host(), rows({{2 - 1.2}, {1.8}})));
}

TEST_CASE("optimizer::sgd leaves parameters without a gradient alone") {
  two_parameters f;
  f.q.set_trainable(false);
  f.backward(rows({{1, 1, 1}}), rows({{1}, {1}}));
  f.step(sgd{.lr = 1, .weight_decay = 0.5});
  CHECK(f.p.host() == rows({{-0.5, -0.5, -0.5}}));
  CHECK(f.q.host() == rows({{2}, {2}}));
  f.step(sgd{.lr = 1, .weight_decay = 0.5});  // the gradient has been used
  CHECK(f.p.host() == rows({{-0.5, -0.5, -0.5}}));
  CHECK(f.p.updates == 1);
  CHECK(f.q.updates == 0);
}
