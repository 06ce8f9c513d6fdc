// train_step and apply_gradients: what a step returns, changes and leaves alone.
#include <limits>
#include <modx/loss/mse.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;
using module::linear;

TEST_CASE("a step follows the gradient") {
  cpu64 backend{1, 1};
  auto m = build(backend, linear{}, {.in = 1, .out = 1});
  m.find("weight").set(rows({{2}}));
  m.find("bias").set(rows({{0}}));
  // y = 2 x, targets 0: loss = mean 4 x^2 = 10, dw = mean 2 y x = 10, db = mean 2 y = 6
  const auto x = rows({{1}, {2}});
  CHECK(near(train_step(m, optimizer::sgd{.lr = 0.1}, loss::mse{}, x, rows({{0}, {0}})), 10));
  CHECK(near(m.find("weight").host(), rows({{1}})));
  CHECK(near(m.find("bias").host(), rows({{-0.6}})));
  CHECK(near(train_step(m, optimizer::sgd{.lr = 0.1}, loss::mse{}, x, rows({{0}, {0}})), (0.16 + 1.96) / 2));
}

TEST_CASE("a step takes labels as a vector or a span, and images in their extents") {
  cpu64 backend{1, 1};
  auto a = build(backend, linear{}, {.in = {2, 2, 1}, .out = 3}),
       b = build(backend, linear{}, {.in = {2, 2, 1}, .out = 3});
  const auto x = backend.normal(4, 4);
  const std::vector<std::int32_t> label = {0, 2, 1, 1};
  const optimizer::adamw adamw{};
  const double one = train_step(a, adamw, loss::cross_entropy{}, x, label);
  CHECK(train_step(b, adamw, loss::cross_entropy{}, x, ids(label)) == one);
  for (auto* p : a.parameters()) CHECK(p->host() == b.find(p->name()).host());
}

TEST_CASE("a step may run a part of the model and sees its context") {
  cpu64 backend{1, 1};
  auto m = build(backend, module::sequential(linear{.out = 3}, linear{}), {.in = 2, .out = 1});
  const auto start = m.find("0.weight").host();
  bool training = false;
  std::uint64_t step = 0;
  const auto features = backend.normal(4, 3);
  train_step(m, optimizer::sgd{}, loss::mse{}, features, matrix<double>(4, 1), {.step = 9},
             [&](const auto& bound, auto x) {
               training = x.on().context.training, step = x.on().context.step;
               return bound.template forward_between<1, 2>(x);
             });
  CHECK(training);
  CHECK(step == 9);
  CHECK(m.find("0.weight").host() == start);
  CHECK(m.find("1.weight").updates == 1);
  CHECK_FALSE(m.tape_of_step().context.training);
}

TEST_CASE("a loss that is not finite throws and changes nothing") {
  cpu64 backend{1, 1};
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    auto m = build(backend, linear{}, {.in = 1, .out = 1});
    const auto w = m.find("weight").host(), b = m.find("bias").host();
    CHECK(contains(message([&] {
                     train_step(m, optimizer::adamw{}, loss::mse{}, rows({{1}, {bad}}), rows({{0}, {0}}));
                   }),
                   "train_step: expected a finite loss, found "));
    CHECK(m.find("weight").host() == w);
    CHECK(m.find("bias").host() == b);
    CHECK(m.find("weight").updates == 0);
    CHECK(std::isfinite(train_step(m, optimizer::adamw{}, loss::mse{}, rows({{1}}), rows({{0}}))));
  }
}

TEST_CASE("apply_gradients returns the norm when it clips") {
  cpu64 backend{1, 1};
  auto m = build(backend, linear{.bias = false}, {.in = 2, .out = 1});
  m.find("weight").set(rows({{0}, {0}}));
  const auto step = [&](double clip) {  // y = 0, target -1: dw = mean 2 x = (6, 8)
    train_step(m, optimizer::sgd{.lr = 1}, loss::mse{}, rows({{3, 4}}), rows({{-1}}), {.update = false});
    return apply_gradients(backend, m.parameters(), optimizer::sgd{.lr = 1}, 1.0, clip);
  };
  CHECK(near(step(5), 10));
  CHECK(near(m.find("weight").host(), rows({{-3}, {-4}})));
  m.find("weight").set(rows({{0}, {0}}));
  CHECK(near(step(20), 10));
  CHECK(near(m.find("weight").host(), rows({{-6}, {-8}})));
  m.find("weight").set(rows({{0}, {0}}));
  CHECK(step(0) == 0);  // not asked for
  CHECK(near(m.find("weight").host(), rows({{-6}, {-8}})));
}

TEST_CASE("train_step says what is wrong") {
  cpu64 backend{1, 1};
  auto m = build(backend, linear{}, {.in = 2, .out = 3});
  const auto x = backend.normal(4, 2);
  const std::vector<std::int32_t> few = {0, 1}, high = {0, 1, 2, 3};
  const optimizer::sgd sgd{};
  CHECK(contains(message([&] { train_step(m, sgd, loss::cross_entropy{}, x, few); }),
                 "cross_entropy: expected 4 labels, found 2"));
  CHECK(contains(message([&] { train_step(m, sgd, loss::cross_entropy{}, x, high); }),
                 "label of token 3: expected 0 <= label < 3, found 3"));
  CHECK(contains(message([&] { train_step(m, sgd, loss::mse{}, x, matrix<double>(4, 2)); }),
                 "subtract: expected 4 x 3, found 4 x 2"));
  CHECK(contains(message([&] { train_step(m, sgd, loss::mse{}, backend.normal(4, 5), matrix<double>(4, 3)); }),
                 "expected 5 rows of the weight"));
  CHECK(contains(message([&] { train_step(m, sgd, loss::mse{}, x, matrix<double>(4, 3), {.accumulation = 0}); }),
                 "accumulation > 0"));
  m.train_only({"weight"});
  m.find("weight").set_trainable(false);
  CHECK(contains(message([&] { train_step(m, sgd, loss::mse{}, x, matrix<double>(4, 3)); }),
                 "depends on no trainable parameter"));
}
