// loss::ghost_background: its value, what it trains and what it leaves alone, its errors.
#include <modx/coupling/ghost.hpp>
#include <modx/coupling/graph.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/ghosts.hpp>
#include <modx/loss/ghost_background.hpp>
#include <modx/loss/mse.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/router/softmax.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;
using coupling::ghost_rules;
using loss::ghost_background;
static_assert(Loss<ghost_background, cpu64, labels> && Loss<ghost_background, cpu64, var<cpu64>>);

namespace {

/// Two experts and two ghosts.
auto network() {
  return module::mixture{.experts = expert::mlp{.hidden = 6, .act = activation::tanh},
                         .router = router::softmax{},
                         .coupling = coupling::ghost{.inner = coupling::graph{}, .ghosts = 2},
                         .n_experts = 2};
}
matrix<double> numbers(std::uint64_t seed, std::size_t n, std::size_t d) {
  matrix<double> m(n, d);
  const random_stream random(seed, "ghost_background");
  for (std::size_t i = 0; i < m.data.size(); ++i) m.data[i] = random.normal(i);
  return m;
}

/// How far ghost 3 is from the mixture, (y_3 - sum_e p_e y_e)^2 in the mean.
template <class M>
double distance(M& m, const matrix<double>& x, double* loss = nullptr) {
  tape<cpu64> t(m.backend());
  const auto y = m.forward(t.input(x));
  const auto* r = expert_outputs(t);
  if (loss) *loss = ghost_background{2}(y, labels{}).item();
  const auto goal = ops::weighted_sum(r->weights, r->y);
  double sum = 0;
  for (std::size_t g : {2u, 3u}) sum += ops::mean(ops::square(r->one(r->bank, g, r->x) - goal)).item() / 2;
  return sum;
}

}  // namespace

TEST_CASE("loss::ghost_background is the mean square between dormant ghosts and the mixture; 0 when all are awake") {
  cpu64 backend{1, 1};
  auto m = build(backend, network(), {6, 2});
  const auto x = numbers(1, 20, 6);
  double loss = -1;
  const double apart = distance(m, x, &loss);
  CAPTURE(apart, loss);
  CHECK(near(2 * apart, loss));
  CHECK(loss > 0);
  m.find("coupling.ghosts.levels").set(rows({{1, 1}, {1, 1}}));
  distance(m, x, &loss);
  CHECK(loss == 0);
}

TEST_CASE("loss::ghost_background trains dormant ghosts towards the mixture, and nobody else notices") {
  const auto probe = numbers(5, 200, 6);
  struct result {
    std::vector<matrix<double>> parameters;
    matrix<double> predicted;
    double before, after;
  };
  const auto run = [&](double background, double weight) {
    cpu64 backend{1, 1};
    auto m = build(backend, network(), {6, 2});
    const ghost_rules rules{.on = 1e9, .background = background};
    result out{{}, {}, distance(m, probe), 0};
    for (int step = 0; step < 150; ++step) {
      const auto x = numbers(std::uint64_t(step), 64, 6), target = numbers(std::uint64_t(step) + 1000, 64, 2);
      prepare_ghosts(m, rules);
      train_step(m, optimizer::adamw{.lr = 0.01}, loss::mse{} + ghost_background{weight}, x, target);
      advance_ghosts(m, rules, 0.1);
    }
    out.after = distance(m, probe);
    for (auto* p : m.parameters()) out.parameters.push_back(p->host());
    out.predicted = m.predict(probe);
    return out;
  };
  const auto off = run(0, 0), on = run(1, 1), no_rate = run(0, 1);
  CHECK(on.predicted == off.predicted);
  CHECK(no_rate.parameters == off.parameters);  // it needs ghost_rules::background too
  std::size_t moved = 0;
  for (std::size_t i = 0; i < off.parameters.size(); ++i) moved += off.parameters[i] != on.parameters[i];
  CHECK(moved == 8);  // two ghosts: up and down, weights and biases
  CHECK(on.after < 0.5 * on.before);
  CHECK(on.after < 0.5 * off.after);
}

TEST_CASE("loss::ghost_background: without ghosts it says so") {
  cpu64 backend{1, 1};
  auto m = build(backend, module::mixture{.experts = expert::mlp{.hidden = 6}, .router = router::softmax{}, .n_experts = 2},
                 {6, 2});
  const auto x = numbers(1, 4, 6), target = numbers(2, 4, 2);
  CHECK(contains(message([&] { train_step(m, optimizer::adamw{}, ghost_background{}, x, target); }),
                 "ghost_background: expected a mixture with ghosts in the forward pass, found none"));
}
