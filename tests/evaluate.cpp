// evaluate(): predictions, loss and accuracy against values by hand, in any batches, without a trace on the model.
#include <cmath>
#include <utility>

#include <modx/combiner/oracle.hpp>
#include <modx/evaluate.hpp>
#include <modx/expert/linear.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>
#include <set>

#include "catch.hpp"
#include "support.hpp"

using namespace modx;
using support::cpu64;
using support::near;

namespace {
constexpr auto whole = [](const auto& net, auto x) { return net.forward(x); };

/// A linear model that returns its input.
auto mirror(cpu64& backend) {
  auto m = build(backend, module::linear{}, {.in = 3, .out = 3});
  m.find("weight").set(support::rows({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}));
  m.find("bias").set(support::rows({{0, 0, 0}}));
  return m;
}
}  // namespace

TEST_CASE("argmax takes the largest, ties to the lowest column") {
  const double row[] = {1, 5, 5, -2};
  CHECK(argmax(std::span<const double>(row)) == 1);
  CHECK(argmax(std::span<const double>(row, 1)) == 0);
}

TEST_CASE("predictions, accuracy and mean loss on the rows asked for") {
  cpu64 backend(1, 1);
  auto model = mirror(backend);
  const dataset<cpu64> data{{backend, support::rows({{2, 0, 0}, {0, 2, 0}, {0, 0, 2}, {2, 0, 0}}), 3}, {}, {}};
  const std::vector<std::int32_t> target{0, 1, 0, 1}, rows{3, 0, 2};
  const auto e = evaluate(model, data, rows, target, whole);
  CHECK(e.predicted == std::vector<std::int32_t>{0, 0, 2});
  CHECK(e.accuracy == 1.0 / 3);
  const double log_sum = std::log(std::exp(2.0) + 2);  // right: log_sum - 2, wrong: log_sum
  CHECK(near(e.loss, (3 * log_sum - 2) / 3));
  const auto none = evaluate(model, data, ids{}, target, whole);
  CHECK(none.predicted.empty());
  CHECK(none.loss == 0);
  CHECK(none.accuracy == 0);
}

TEST_CASE("batches change neither predictions nor loss, and each is shown") {
  cpu64 backend(2, 2);
  auto model = mirror(backend);
  const dataset<cpu64> data{{backend, backend.normal(101, 3), 3}, {}, {}};
  std::vector<std::int32_t> target;
  for (std::size_t i = 0; i < 101; ++i) target.push_back(std::int32_t(i % 3));
  const auto rows = all_rows(101);
  const auto one = evaluate(model, data, rows, target, whole);
  for (const std::size_t batch : {1, 10, 100, 101, 500}) {
    std::size_t shown = 0;
    const auto other = evaluate(model, data, rows, target, whole, nullptr, [&](auto&, ids own) { shown += own.size(); }, batch);
    CHECK(other.predicted == one.predicted);
    CHECK(other.accuracy == one.accuracy);
    CHECK(near(other.loss, one.loss));
    CHECK(shown == 101);
  }
}

TEST_CASE("an evaluation records nothing and leaves gradients alone") {
  cpu64 backend(3, 1);
  auto model = mirror(backend);
  const dataset<cpu64> data{{backend, backend.normal(5, 3), 3}, {}, {}};
  const std::vector<std::int32_t> target(5);
  evaluate(model, data, all_rows(5), target, [&](const auto& net, auto x) {
    const auto y = net.forward(x);
    CHECK_FALSE(y.needs_gradient());
    return y;
  });
  CHECK(model.tape_of_step().recording());
  CHECK(model.find("weight").gradient_is_fresh);
}

TEST_CASE("domains reach the model, and routing noise is drawn again in every batch, the same for a seed") {
  cpu64 backend(4, 1);
  auto oracle = build(backend, module::mixture{.experts = expert::linear{}, .router = router::softmax{},
                                               .combiner = combiner::oracle{}, .n_experts = 2}, {.in = 3, .out = 3});
  const std::vector<std::int32_t> target(40);
  std::vector<std::int32_t> zeros(40), ones(40, 1);
  const auto x = backend.normal(40, 3);
  const dataset<cpu64> first{{backend, x, 3}, {}, zeros}, second{{backend, x, 3}, {}, ones};
  CHECK(evaluate(oracle, first, all_rows(40), target, whole).loss != evaluate(oracle, second, all_rows(40), target, whole).loss);

  auto soft = build(backend, module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .n_experts = 2},
                    {.in = 3, .out = 3});
  matrix<double> same(8, 3);
  for (double& v : same.data) v = 1;
  const dataset<cpu64> equal{{backend, same, 3}, {}, {}};
  routing_perturbation noise{.sigma = 2, .seed = 5};
  const auto weights_of = [&](const routing_perturbation* p) {
    std::vector<double> w;
    evaluate(soft, equal, all_rows(8), std::vector<std::int32_t>(8), whole, p,
             [&](auto& t, ids own) {
               const auto all = routings(t)->all.host();
               for (std::size_t i = 0; i < own.size(); ++i) w.push_back(all(i, 0));
             },
             4);
    return w;
  };
  const auto clean = weights_of(nullptr), noisy = weights_of(&noise);
  CHECK(std::set<double>(clean.begin(), clean.end()).size() == 1);
  CHECK(std::set<double>(noisy.begin(), noisy.end()).size() == 8);  // rows and batches differ
  CHECK(weights_of(&noise) == noisy);
  noise.seed = 6;
  CHECK(weights_of(&noise) != noisy);
}
