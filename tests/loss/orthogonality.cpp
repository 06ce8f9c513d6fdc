// loss::orthogonality: the laws, values by hand, warm-up, strengths, absent experts; it pushes experts apart.
#include <modx/coupling/ghost.hpp>
#include <modx/expert/linear.hpp>
#include <modx/laws/loss.hpp>
#include <modx/loss/mse.hpp>
#include <modx/loss/orthogonality.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/router/softmax.hpp>
#include <modx/specialisation.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;
using loss::orthogonality;
using measure = orthogonality::measure;
using average = orthogonality::average;
static_assert(Loss<orthogonality, cpu64, labels> && Loss<orthogonality, cpu64, var<cpu64>>);

namespace {

const laws::detail::no_bank bank;

/// Of outputs, n x (e m), in one mixture.
double value(const orthogonality& loss, const matrix<double>& y, std::size_t e, std::uint64_t step = 0,
             std::span<const double> presence = {}) {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  t.context.step = step;
  const auto in = t.input(y);
  remember(bank, in, outputs<cpu64>{in, e, presence}, in);
  return loss(in, labels{}).item();
}
auto experts() {
  return module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .n_experts = 3, .out = 3};
}

}  // namespace

TEST_CASE("loss::orthogonality obeys the laws of losses") {
  cpu64 backend{1, 1};
  for (const auto of : {measure::cosine, measure::gram}) {
    CHECK(laws::of_loss(backend, orthogonality{.of = of, .weight = 0.7}, 3).numbers > 60);
    CHECK(laws::of_loss(backend, orthogonality{.of = of, .over = average::pool, .weight = 0.7}, 3).numbers >
          60);
    CHECK(laws::of_loss(backend, orthogonality{.of = of, .over = average::pool} + loss::mse{}, 3).numbers >
          60);
  }
}

TEST_CASE("loss::orthogonality computes what it says") {
  const auto y = rows({{1, 0, 0, 2}, {3, 0, 0, 0}});  // means (2, 0) and (0, 1)
  const orthogonality cosine{.weight = 1}, gram{.of = measure::gram, .weight = 1};
  CHECK(near(value(cosine, y, 2), 0, 1e-12));
  CHECK(near(value(gram, y, 2), (9.0 + 0) / 4));
  const auto same = rows({{1, 2, 2, 4}});
  CHECK(near(value(cosine, same, 2), 1, 1e-10));
  CHECK(near(value(gram, same, 2), (16 + 19 * 19 + 2 * 100.0) / 4));
  const orthogonality pooled{.over = average::pool, .weight = 1},
      pooled_gram{.of = measure::gram, .over = average::pool, .weight = 1};
  const auto turning = rows({{1, 0, 0, 1}, {1, 0, 1, 0}});  // cosine 0, then 1; the means' is sqrt(1/2)
  CHECK(near(value(cosine, turning, 2), 0.5, 1e-10));
  CHECK(near(value(pooled, turning, 2), 0.25, 1e-10));
  CHECK(near(value(pooled_gram, turning, 2), 2 * 0.25 / 4));
  CHECK(value(cosine, rows({{1, 2}}), 1) == 0);                  // a single expert
  CHECK(std::isfinite(value(cosine, rows({{0, 0, 0, 0}}), 2)));  // outputs of zero
}

TEST_CASE("loss::orthogonality warms up, and takes a strength for each mixture") {
  const auto y = rows({{1, 2, 2, 5}});
  const orthogonality plain{.weight = 0.5}, slow{.weight = 0.5, .warmup = 10};
  CHECK(value(slow, y, 2, 0) == 0);
  CHECK(near(value(slow, y, 2, 4), 0.4 * value(plain, y, 2)));
  CHECK(value(slow, y, 2, 10) == value(plain, y, 2));
  CHECK(value(slow, y, 2, 11) == value(plain, y, 2));
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto a = t.input(y), b = t.input(rows({{1, 0, 1, 1}}));
  remember(bank, a, outputs<cpu64>{a, 2}, a);
  remember(bank, b, outputs<cpu64>{b, 2}, b);
  const orthogonality both{.strengths = {2, 30}};
  CHECK(near(both(a, labels{}).item(), 2 * value({.weight = 1}, y, 2) + 30 * 0.5, 1e-9));
  const orthogonality three{.strengths = {1, 1, 1}};
  CHECK(contains(message([&] { three(a, labels{}); }),
                 "orthogonality: expected 2 strengths (one a mixture), found 3"));
  tape<cpu64> empty(backend);
  CHECK(contains(message([&] { both(empty.input(y), labels{}); }),
                 "orthogonality: expected a dense mixture in the forward pass, found none"));
}

TEST_CASE("loss::orthogonality leaves out experts that are not there") {
  const auto y = rows({{1, 0, 0, 1, 1, 1}});
  const double two[] = {1, 1, 0}, half[] = {1, 1, 0.5};
  for (const auto of : {measure::cosine, measure::gram}) {
    const orthogonality loss{.of = of, .weight = 1};
    CHECK(near(value(loss, y, 3, 0, two), value(loss, rows({{1, 0, 0, 1}}), 2), 1e-12));
    CHECK_FALSE(near(value(loss, y, 3, 0, half), value(loss, y, 3, 0, two), 1e-3));
  }
}

TEST_CASE(
    "loss::orthogonality is alive: training with it pushes the experts' outputs apart, without it not") {
  const auto trained = [](double weight, measure of) {
    cpu64 backend{1, 1};
    auto m = build(backend, module::sequential{experts(), experts()}, shape{.in = 3, .out = 3});
    auto x = laws::draw(1, "x", 32, 3), target = laws::draw(1, "target", 32, 3);
    for (double& v : x.data) v += 1;
    for (int step = 0; step < 60; ++step)
      train_step(m, optimizer::adamw{.lr = 0.02}, loss::mse{} + orthogonality{.of = of, .weight = weight}, x,
                 target);
    tape<cpu64> t(backend);
    m.forward(t.input(x));
    double score = 0;
    for (auto* r = expert_outputs(t); r; r = r->next)
      score += specialisation_of(ops::reshape(ops::mean_of_rows(r->y.y), 3, 3).host()).score / 2;
    return score;
  };
  const double off = trained(0, measure::cosine);
  CHECK(trained(1, measure::cosine) > off + 0.1);
  CHECK(trained(1, measure::gram) > off + 0.1);
}
