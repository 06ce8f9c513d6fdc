// Ghosts in training: a domain that appears half-way wakes them and they lower the loss; rates, resuming.
#include <modx/coupling/ghost.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/fit.hpp>
#include <modx/ghosts.hpp>
#include <modx/loss/mse.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/router/softmax.hpp>

#include "catch.hpp"
#include "coupling/part.hpp"

using namespace support;
using namespace modx;
using coupling::ghost, coupling::ghost_rules;

namespace {

const shape io{.in = 6, .out = 2};

/// Rows of domain 0 or 1: five normal numbers and which domain it is; each domain has its own smooth
/// function.
struct batch {
  matrix<double> x, target;
  batch(std::uint64_t seed, std::size_t n, const std::function<int(std::size_t)>& domain)
      : x(n, 6), target(n, 2) {
    const random_stream random(seed, "ghosts");
    for (std::size_t i = 0; i < n; ++i) {
      const int d = domain(i);
      for (std::size_t j = 0; j < 5; ++j) x(i, j) = random.normal(5 * i + j);
      x(i, 5) = d ? 1 : -1;
      target(i, 0) = d ? std::sin(2 * x(i, 0)) * x(i, 1) : std::tanh(x(i, 2) + x(i, 3));
      target(i, 1) = d ? std::cos(2 * x(i, 2)) : std::tanh(x(i, 0) - x(i, 4));
    }
  }
  double variance() const {
    double sum = 0, squares = 0;
    for (const double v : target.data) sum += v, squares += v * v;
    const double n = double(target.data.size());
    return squares / n - sum * sum / n / n;
  }
};
batch mixed(std::uint64_t seed, std::size_t n, int step) {
  return {seed, n, [step](std::size_t i) { return step < 0 ? int(i % 2) : 0; }};
}

template <class C>
auto network(const C& coupling) {
  return module::mixture{.experts = expert::mlp{.hidden = 6, .act = activation::tanh},
                         .router = router::softmax{},
                         .coupling = coupling,
                         .n_experts = 2};
}
auto network() { return network(ghost<>{.ghosts = 2, .window = 25}); }

struct outcome {
  double loss = 0;             // over both domains at the end
  std::vector<double> levels;  // at the end
  std::vector<double> before;  // when the second domain appears
};
/// 800 steps; from step 400 on half of the rows are of the second domain.
outcome train(std::uint64_t seed, const ghost_rules& rules) {
  cpu64 backend{seed, 1};
  auto m = build(backend, network(), io);
  const double variance = mixed(99, 2000, -1).variance();
  const optimizer::adamw adamw{.lr = 0.01};
  outcome out;
  for (int step = 0; step < 800; ++step) {
    const auto b = mixed(seed * 1000 + std::uint64_t(step), 64, step < 400 ? 0 : -1);
    if (step == 400) out.before = m.find("coupling.ghosts.levels").host().data;
    prepare_ghosts(m, rules);
    const double loss = train_step(m, adamw, loss::mse{}, b.x, b.target);
    out.levels = advance_ghosts(m, rules, loss / variance)[0].level;
  }
  const auto test = mixed(77, 2000, -1);
  const auto y = m.predict(test.x);
  for (std::size_t i = 0; i < y.data.size(); ++i)
    out.loss += (y.data[i] - test.target.data[i]) * (y.data[i] - test.target.data[i]) / double(y.data.size());
  return out;
}

}  // namespace

TEST_CASE("ghosts: a domain that appears half-way wakes them, and the loss is lower than without") {
  const ghost_rules rules{.on = 0.25, .off = 0.01, .ramp = 50}, never{.on = 1e9};
  double with = 0, without = 0;
  int lower = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto on = train(seed, rules), off = train(seed, never);
    CAPTURE(seed, on.loss, off.loss);
    CHECK(on.before == std::vector<double>{0, 0, 0, 0});
    CHECK(off.levels == std::vector<double>{0, 0});
    CHECK(on.levels[0] == 1);
    with += on.loss / 5, without += off.loss / 5;
    lower += on.loss < off.loss;
  }
  CAPTURE(with, without);
  CHECK(with < 0.85 * without);
  CHECK(lower >= 4);
}

TEST_CASE("ghosts: dormant ones keep every weight, awake ones move at the rate of their level") {
  cpu64 backend{1, 1};
  const auto start = build(backend, network(), io);
  const auto b = mixed(1, 64, -1);
  const auto moved = [&](double level, const ghost_rules& rules, double r) {
    auto m = build(backend, network(), io);
    m.find("coupling.ghosts.levels").set(rows({{level, 0}, {level > 0 ? 1.0 : 0.0, 0}}));
    prepare_ghosts(m, rules, r);
    train_step(m, optimizer::adamw{.lr = 0.01}, loss::mse{}, b.x, b.target);
    std::vector<double> way;  // of experts 1, 2 and 3
    for (const char* name : {"experts.1.up.bias", "experts.2.up.bias", "experts.3.up.bias"})
      way.push_back(std::fabs(m.find(name).host()(0, 0) - start.find(name).host()(0, 0)));
    return way;
  };
  const ghost_rules same{}, inverse{.learning_rate = ghost_rules::rate::inverse},
      complementary{.learning_rate = ghost_rules::rate::complementary};
  const auto asleep = moved(0, same, 1), awake = moved(1, same, 1);
  CHECK(asleep[0] > 0);
  CHECK((asleep[1] == 0 && asleep[2] == 0));
  CHECK((awake[1] > 0 && awake[2] == 0));
  CHECK(near(moved(1, inverse, 0.25)[1], 0.75 * awake[1], 1e-9));
  CHECK(moved(1, inverse, 1)[1] == 0);
  CHECK(near(moved(1, complementary, 0.5)[1], 0.35 * awake[1], 1e-9));
  CHECK(moved(1, inverse, 0.25)[0] == awake[0]);  // the others don't notice
}

TEST_CASE("ghosts: resumed from parameters and states, training ends with the same bits") {
  const ghost_rules rules{.on = 0.2, .off = 0.01, .ramp = 20};
  cpu backend{1, 1};
  const auto steps = [&](auto& m, int from, int to) {
    for (int step = from; step < to; ++step) {
      const auto b = mixed(std::uint64_t(step), 64, -1);
      matrix<float> x(64, 6), target(64, 2);
      for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = float(b.x.data[i]);
      for (std::size_t i = 0; i < target.data.size(); ++i) target.data[i] = float(b.target.data[i]);
      prepare_ghosts(m, rules);
      advance_ghosts(m, rules, train_step(m, optimizer::sgd{.lr = 0.05}, loss::mse{}, x, target));
    }
  };
  auto whole = build(backend, network(), io), first = build(backend, network(), io),
       second = build(backend, network(), io, 9);
  steps(whole, 0, 90), steps(first, 0, 37);
  copy_parameters(first, second);
  steps(second, 37, 90);
  const auto levels = whole.find("coupling.ghosts.levels").host();
  CHECK((levels(0, 0) == 1 && levels(0, 1) > 0));
  for (const auto list : {whole.parameters(), whole.states()})
    for (auto* p : list) CHECK(p->host() == second.find(p->name()).host());
}

TEST_CASE("ghosts: a stage's state has their levels, and predicting moves nothing") {
  cpu64 backend{1, 1};
  auto m = build(backend, network(), io);
  m.find("coupling.ghosts.levels").set(rows({{0.5, 0}, {1, 0}}));
  const auto before = m.find("coupling.ghosts.history").host();
  m.predict(mixed(1, 8, -1).x);
  CHECK(m.find("coupling.ghosts.levels").host() == rows({{0.5, 0}, {1, 0}}));
  CHECK(m.find("coupling.ghosts.history").host() == before);
  dataset<cpu64> data{{backend, mixed(1, 8, -1).x, 6}, {0, 1, 0, 1, 0, 1, 0, 1}, {}};
  fit_options options{.max_epochs = 2, .batch_size = 4, .select_on_training_loss = true};
  const auto whole = [](const auto& net, auto x) { return net.forward(x); };
  fitter stage(m, optimizer::sgd{}, loss::cross_entropy{}, data, all_rows(8), {}, data.label, whole, options);
  stage.run_epoch();
  const auto s = stage.state();
  auto other = build(backend, network(), io, 5);
  fitter again(other, optimizer::sgd{}, loss::cross_entropy{}, data, all_rows(8), {}, data.label, whole,
               options);
  again.restore(s);
  CHECK(other.find("coupling.ghosts.levels").host() == rows({{0.5, 0}, {1, 0}}));
  stage.run_epoch(), again.run_epoch();
  CHECK(m.predict(mixed(2, 8, -1).x) == other.predict(mixed(2, 8, -1).x));
}

TEST_CASE("ghosts: without any it says so") {
  cpu64 backend{1, 1};
  auto m = build(backend, network(coupling::none{}), io);
  const auto said = message([&] { prepare_ghosts(m, {}); });
  CHECK(contains(said, "ghosts: expected a mixture with .coupling = coupling::ghost{...}, found none"));
}
