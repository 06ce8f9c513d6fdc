// optimizer::adamw: values by hand, against plain loops; decay, scales, per-tensor steps.
#include <modx/optimizer/adamw.hpp>

#include "catch.hpp"
#include "fixture.hpp"

using namespace support;
using modx::optimizer::adamw;
static_assert(modx::Optimizer<adamw, cpu64> && modx::Optimizer<adamw, modx::cpu> && std::regular<adamw>);

TEST_CASE("optimizer::adamw's first step has the length of the learning rate") {
  two_parameters f;
  f.backward(rows({{1000, -2, 1e-3}}), rows({{0}, {5}}));
  f.step(adamw{.lr = 0.1, .weight_decay = 0, .eps = 0});
  CHECK(near(f.p.host(), rows({{0.9, 1.1, 0.9}})));
  CHECK(near(f.q.host()(1, 0), 1.9));
}

TEST_CASE("optimizer::adamw agrees with the formula in plain loops") {
  two_parameters f;
  const adamw o{.lr = 0.05, .weight_decay = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3};
  double m[3] = {}, v[3] = {}, w[3] = {1, 1, 1};
  for (int step = 1; step <= 6; ++step) {
    const double g[3] = {0.5 * step - 1, -2, 1e-4}, lr_scale = step == 4 ? 0.5 : 1, scale = step == 5 ? 0.1 : 1;
    f.backward(rows({{g[0], g[1], g[2]}}), rows({{1}, {1}}));
    f.step(o, lr_scale, scale);
    for (int i = 0; i < 3; ++i) {
      m[i] = 0.8 * m[i] + 0.2 * scale * g[i];
      v[i] = 0.95 * v[i] + 0.05 * scale * scale * g[i] * g[i];
      const double m_hat = m[i] / (1 - std::pow(0.8, step)), v_hat = v[i] / (1 - std::pow(0.95, step));
      w[i] -= 0.05 * lr_scale * (0.1 * w[i] + m_hat / (std::sqrt(v_hat) + 1e-3));
    }
    CHECK(near(f.p.host(), rows({{w[0], w[1], w[2]}})));
  }
  CHECK(f.p.has_moment(0));
  CHECK(f.p.has_moment(1));
}

TEST_CASE("optimizer::adamw counts each tensor's own steps") {
  two_parameters f;
  const adamw o{.lr = 0.1, .weight_decay = 0, .eps = 0};
  f.q.set_trainable(false);
  for (int i = 0; i < 3; ++i) f.backward(rows({{1, 1, 1}}), rows({{1}, {1}})), f.step(o);
  CHECK(f.q.host() == rows({{2}, {2}}));
  CHECK_FALSE(f.q.has_moment(0));  // no memory for a frozen parameter
  f.q.set_trainable(true);
  f.backward(rows({{1, 1, 1}}), rows({{7}, {-7}})), f.step(o);
  CHECK(near(f.q.host(), rows({{1.9}, {2.1}})));  // a first step, bias-corrected as one
  CHECK(f.p.updates == 4);
  CHECK(f.q.updates == 1);
}

TEST_CASE("optimizer::adamw starts again after forget_moments") {
  two_parameters f;
  const adamw o{.lr = 0.1, .weight_decay = 0, .eps = 0};
  f.backward(rows({{100, 100, 100}}), rows({{1}, {1}})), f.step(o);
  f.p.forget_moments();
  CHECK_FALSE(f.p.has_moment(1));
  CHECK(f.p.updates == 0);
  f.backward(rows({{-1, -1, -1}}), rows({{1}, {1}})), f.step(o);
  CHECK(near(f.p.host(), rows({{1, 1, 1}})));
}

TEST_CASE("optimizer::adamw decays weights whose gradient is 0") {
  two_parameters f;
  f.backward(rows({{0, 0, 0}}), rows({{0}, {0}}));
  f.step(adamw{.lr = 0.1, .weight_decay = 0.5});
  CHECK(near(f.p.host(), rows({{0.95, 0.95, 0.95}})));
}
