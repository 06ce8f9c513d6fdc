// Disturbed routings: noise on the logits, random re-routing, the two largest changing places.
#include <modx/perturbation.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;

namespace {
/// Weights under a perturbation; the logits are the logs of the weights.
matrix<double> weights(const matrix<double>& p, const routing_perturbation& how, std::uint64_t step = 0,
                       matrix<double>* scores = nullptr) {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  t.context.perturbation = &how, t.context.step = step;
  const auto w = t.input(p);
  const auto r = perturbed(dense_routing<cpu64>{{ops::log(w)}, {w}});
  if (scores) *scores = r.scores.host();
  return r.weights.host();
}
matrix<double> many(std::size_t n, std::initializer_list<double> row) {
  matrix<double> m(n, row.size());
  for (std::size_t i = 0; i < n; ++i) std::copy(row.begin(), row.end(), m.row(i).begin());
  return m;
}
}  // namespace

TEST_CASE("without a perturbation the routing is the same tensors") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto w = t.input(rows({{0.5, 0.5}}));
  const routing_perturbation idle;
  CHECK(perturbed(dense_routing<cpu64>{{w}, {w}}).weights.data() == w.data());
  t.context.perturbation = &idle;
  CHECK(perturbed(dense_routing<cpu64>{{w}, {w}}).weights.data() == w.data());
}

TEST_CASE("the two largest change places") {
  const routing_perturbation swap{.swap_top_two = true};
  CHECK(near(weights(rows({{0.1, 0.6, 0.3}, {0.5, 0.2, 0.3}, {0.4, 0.4, 0.2}}), swap),
             rows({{0.1, 0.3, 0.6}, {0.3, 0.2, 0.5}, {0.4, 0.4, 0.2}})));
  CHECK(weights(rows({{1}}), swap) == rows({{1}}));  // one expert has nobody to change with
}

TEST_CASE("re-routing moves the largest weight to another expert, with its probability") {
  const std::size_t n = 4000;
  const auto p = many(n, {0.1, 0.7, 0.2});
  for (const double rate : {0.0, 0.25, 1.0}) {
    const auto w = weights(p, {.reroute = rate, .seed = 3});
    std::size_t to[3] = {};
    for (std::size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < 3; ++j) sum += w(i, j), to[j] += near(w(i, j), 0.7);
      REQUIRE(near(sum, 1));
    }
    CHECK(std::fabs(double(to[1]) - (1 - rate) * double(n)) <= 150 * (rate > 0 && rate < 1));
    CHECK(std::fabs(double(to[0]) - rate * double(n) / 2) <= 150 * (rate > 0));
    CHECK(to[0] + to[1] + to[2] == n);
  }
}

TEST_CASE("noise is Gaussian on the logits, by seed, step and token") {
  const std::size_t n = 3000;
  const auto p = many(n, {0.2, 0.3, 0.5});
  matrix<double> z;
  const auto w = weights(p, {.sigma = 0.5, .seed = 1}, 0, &z);
  double mean = 0, square = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double total = 0, sum = 0;
    for (std::size_t j = 0; j < 3; ++j) total += std::exp(z(i, j)), sum += w(i, j);
    REQUIRE(near(sum, 1));
    for (std::size_t j = 0; j < 3; ++j) {
      REQUIRE(near(w(i, j), std::exp(z(i, j)) / total));
      const double noise = (z(i, j) - std::log(p(i, j))) / 0.5;
      mean += noise, square += noise * noise;
    }
  }
  CHECK(std::fabs(mean / 9000) < 0.05);
  CHECK(std::fabs(square / 9000 - 1) < 0.06);
  CHECK(weights(p, {.sigma = 0.5, .seed = 1}) == w);
  CHECK(weights(p, {.sigma = 0.5, .seed = 2}) != w);
  CHECK(weights(p, {.sigma = 0.5, .seed = 1}, 1) != w);
}

TEST_CASE("disturbed weights carry no gradient") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const routing_perturbation swap{.swap_top_two = true};
  t.context.perturbation = &swap;
  const auto w = t.input(rows({{0.4, 0.6}}).data, 1, 2, true);
  const auto r = perturbed(dense_routing<cpu64>{{w}, {w}});
  CHECK_FALSE(r.weights.needs_gradient());
  CHECK(r.scores.data() == w.data());
}
