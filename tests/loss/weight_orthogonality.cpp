// loss::weight_orthogonality: true gradients, values by hand, which weights are compared; specialisation
// beside chance.
#include <modx/expert/linear.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/laws/gradient.hpp>
#include <modx/loss/mse.hpp>
#include <modx/loss/weight_orthogonality.hpp>
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
using loss::weight_orthogonality;
using measure = loss::orthogonality::measure;
static_assert(Loss<weight_orthogonality<cpu64>, cpu64, labels>);

namespace {

const shape io{.in = 3, .out = 3};
auto experts(std::size_t n = 3) {
  return module::mixture{
      .experts = expert::mlp{.hidden = 4}, .router = router::softmax{}, .n_experts = n, .out = 3};
}
template <class M, class L>
double value(M& m, const L& loss, std::uint64_t step = 0) {
  tape<cpu64> t(m.backend());
  t.context.step = step;
  return loss(t.constant(1, 1, 0), labels{}).item();
}

}  // namespace

TEST_CASE("loss::weight_orthogonality has true gradients") {
  cpu64 backend{1, 1};
  auto m = build(backend, module::sequential{experts(), experts(2)}, io);
  laws::shake(m.parameters(), 1);
  for (const auto of : {measure::cosine, measure::gram}) {
    const weight_orthogonality loss(m, "*experts.*.weight", 0.7, 0, of);
    CHECK(loss.layers.size() == 4);  // up and down, of two mixtures
    const auto f = [&](tape<cpu64>& t, std::span<const var<cpu64>>) {
      return loss(t.constant(1, 1, 0), labels{});
    };
    CHECK(laws::gradients("weight_orthogonality", backend, {}, m.parameters(), f, {}, 1).numbers > 100);
  }
}

TEST_CASE("loss::weight_orthogonality computes what it says") {
  cpu64 backend{1, 1};
  auto m = build(backend,
                 module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .n_experts = 2},
                 {.in = 2, .out = 2});
  m.find("experts.0.weight").set(rows({{1, 0}, {0, 0}}));
  m.find("experts.1.weight").set(rows({{1, 0}, {0, 1}}));
  const weight_orthogonality cosine(m, "experts.*.weight", 1.0),
      gram(m, "experts.*.weight", 1.0, 0, measure::gram);
  CHECK(near(value(m, cosine), 0.5, 1e-9));
  CHECK(near(value(m, gram), (0 + 1 + 1 + 1) / 4.0));
  const weight_orthogonality slow(m, "experts.*.weight", 1.0, 8);
  CHECK(near(value(m, slow, 2), 0.25 * 0.5, 1e-9));
  CHECK(contains(message([&] { weight_orthogonality(m, "base.*"); }),
                 "weight_orthogonality: expected weights of experts that match 'base.*', found none"));
}

TEST_CASE("loss::weight_orthogonality is alive: weights that are alike are pushed apart") {
  const auto score = [](double weight) {
    cpu64 backend{1, 1};
    auto m = build(backend, experts(), io);
    for (auto* p : m.parameters())
      if (p->name().ends_with("up.weight")) {
        auto w = p->host();
        for (double& v : w.data) v += 1;
        p->set(w);
      }
    const auto x = laws::draw(1, "x", 16, 3), target = laws::draw(1, "target", 16, 3);
    for (int step = 0; step < 50; ++step)
      train_step(m, optimizer::adamw{.lr = 0.02},
                 loss::mse{} + weight_orthogonality(m, "experts.*.up.weight", weight), x, target);
    return specialisation_of(m, "experts.*.up.weight").score;
  };
  CHECK(score(1) > score(0) + 0.2);
}

TEST_CASE("specialisation stands beside its value for random experts") {
  CHECK(specialisation_of(rows({{1, 0}, {0, 2}})).score == 1);
  CHECK(near(specialisation_of(rows({{1, 1}, {2, 2}})).score, 0));
  CHECK(near(specialisation_of(rows({{1, 0}, {1, 1}, {0, 0}})).score, 1 - std::sqrt(0.5) / 3));
  cpu64 backend{1, 1};
  const auto m = build(
      backend,
      module::mixture{.experts = expert::mlp{.hidden = 64}, .router = router::softmax{}, .n_experts = 8},
      {.in = 64, .out = 64});
  const auto s = specialisation_of(m, "experts.*.up.weight");
  const double expected = 1 - std::sqrt(2 / (3.14159265 * 64 * 64));  // 1 - E|cos| in 4096 dimensions
  CHECK(std::fabs(s.at_random - expected) < 0.003);
  CHECK(std::fabs(s.score - s.at_random) < 0.005);  // untrained experts are as different as chance makes them
  CHECK(contains(message([&] { specialisation_of(m, "router.weight"); }),
                 "specialisation_of: expected two parameters that match 'router.weight', found 1"));
}
