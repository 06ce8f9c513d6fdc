// combiner::projected_mean: the laws with its parameters, its formula, and a mixture that trains and saves
// them.
#include <modx/combiner/projected_mean.hpp>
#include <modx/laws/combiner.hpp>
#include <modx/router/uniform.hpp>

#include "catch.hpp"
#include "coupling/alive.hpp"

using namespace coupled;
using modx::combiner::projected_mean;
using all = modx::outputs<cpu64>;
using dense = modx::dense_routing<cpu64>;
static_assert(modx::Combiner<projected_mean, cpu64, all, dense> && modx::BindsToWidth<projected_mean, cpu64>);
static_assert(!modx::BindsToWidth<modx::combiner::softmax, cpu64>);

namespace {
auto spec() {
  return modx::module::mixture{.experts = modx::expert::mlp{.hidden = 5, .act = modx::activation::tanh},
                               .router = modx::router::uniform{},
                               .combiner = projected_mean{},
                               .n_experts = 3};
}
}  // namespace

TEST_CASE("combiner::projected_mean obeys the laws of combiners, towards its parameters too") {
  cpu64 backend{1, 1};
  const auto r = modx::laws::of_combiner(backend, projected_mean{.eps = 1e-3}, 3, 4);
  CHECK(r.numbers >= 20 + 60 + 15 + 15 + 28);  // base, outputs, scores, weights, and 4^2 + 3 * 4 parameters
}

TEST_CASE("combiner::projected_mean is the norm of GELU of a linear map of the mean") {
  cpu64 backend{1, 1};
  auto m = build(backend, spec(), io);
  modx::laws::shake(m.parameters(), 1);
  const auto x = modx::laws::draw(1, "x", 5, 4);
  matrix<double> mean(5, 3);
  modx::tape<cpu64> t(backend);
  for (std::size_t e = 0; e < 3; ++e) {
    const auto y = m.bound().expert(e, t.input(x)).host();
    for (std::size_t i = 0; i < y.data.size(); ++i) mean.data[i] += y.data[i] / 3;
  }
  const auto w = m.find("combiner.weight").host(), b = m.find("combiner.bias").host(),
             gain = m.find("combiner.norm.weight").host(), shift = m.find("combiner.norm.bias").host();
  matrix<double> expected(5, 3);
  for (std::size_t i = 0; i < 5; ++i) {
    double sum = 0, squares = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      double z = b(0, k);
      for (std::size_t q = 0; q < 3; ++q) z += mean(i, q) * w(q, k);
      expected(i, k) = z / 2 * (1 + std::erf(z / std::sqrt(2.0)));
      sum += expected(i, k), squares += expected(i, k) * expected(i, k);
    }
    const double sd = std::sqrt(squares / 3 - sum * sum / 9 + 1e-5);
    for (std::size_t k = 0; k < 3; ++k)
      expected(i, k) = (expected(i, k) - sum / 3) / sd * gain(0, k) + shift(0, k);
  }
  CHECK(near(m.predict(x), expected, 1e-10));
}

TEST_CASE("combiner::projected_mean: its parameters are the model's, m^2 + 3 m of them, and move") {
  cpu64 backend{1, 1};
  auto m = build(backend, spec(), io);
  std::size_t own = 0;
  for (auto* p : m.parameters()) own += p->name().starts_with("combiner.") ? p->size() : 0;
  CHECK(own == 3 * 3 + 3 + 2 * 3);
  all_alive(spec());
}
