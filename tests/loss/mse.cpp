// loss::mse: laws, a value by hand, errors.
#include <modx/laws/loss.hpp>
#include <modx/loss/mse.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::loss::mse;
static_assert(modx::Loss<mse, cpu64, modx::var<cpu64>> && modx::Loss<mse, modx::cpu, modx::var<modx::cpu>>);
static_assert(!modx::Loss<mse, cpu64, modx::labels>);

TEST_CASE("loss::mse obeys the laws of losses") {
  cpu64 backend{1, 1};
  for (const std::size_t m : {1, 2, 9}) CHECK(modx::laws::of_loss(backend, mse{}, m, 3, {.seed = m}).numbers > 5);
}

TEST_CASE("loss::mse computes the mean of squares") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 2}, {3, 4}}).data, 2, 2, true), target = t.input(rows({{1, 0}, {0, 5}}));
  const auto loss = mse{}(y, target);
  CHECK(near(loss.item(), (0 + 4 + 9 + 1) / 4.0));
  t.backward(loss);
  CHECK(std::vector<double>(y.gradient(), y.gradient() + 4) == std::vector<double>{0, 1, 1.5, -0.5});
}

TEST_CASE("loss::mse says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(modx::matrix<double>(2, 3));
  CHECK(contains(message([&] { mse{}(y, t.input(modx::matrix<double>(2, 2))); }),
                 "subtract: expected 2 x 3, found 2 x 2"));
  const auto none = t.input(modx::matrix<double>(0, 3));
  CHECK(contains(message([&] { mse{}(none, none); }), "mean: expected values > 0, found 0"));
}
