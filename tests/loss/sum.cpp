// loss::sum: losses add up with +.
#include <modx/laws/loss.hpp>
#include <modx/loss/cross_entropy.hpp>
#include <modx/loss/load_balance.hpp>
#include <modx/loss/mse.hpp>
#include <modx/loss/router_z.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx::loss;
using three = decltype(cross_entropy{} + load_balance{0.5} + router_z{0.25});
static_assert(std::same_as<three, sum<sum<cross_entropy, load_balance>, router_z>>);
static_assert(modx::Loss<three, cpu64, modx::labels> && !modx::Loss<three, cpu64, modx::var<cpu64>>);
static_assert(std::regular<three>);

TEST_CASE("loss::sum obeys the laws of losses") {
  cpu64 backend{1, 1};
  CHECK(modx::laws::of_loss(backend, cross_entropy{} + load_balance{0.5} + router_z{0.25}, 3, 4).numbers > 30);
  CHECK(modx::laws::of_loss(backend, mse{} + router_z{0.25}, 3, 4).numbers > 30);
}

TEST_CASE("loss::sum is the sum of its terms") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 2}, {3, -1}})), target = t.input(rows({{0, 0}, {1, 1}}));
  modx::remember(modx::dense_routing<cpu64>{{y}, {modx::ops::softmax_rows(y)}});
  const double expected = mse{}(y, target).item() + router_z{2}(y, target).item();
  CHECK(near((mse{} + router_z{2})(y, target).item(), expected));
  CHECK((mse{} + router_z{2}) == (mse{} + router_z{2}));
  CHECK((mse{} + router_z{2}) != (mse{} + router_z{3}));
}
