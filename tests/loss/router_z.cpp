// loss::router_z: laws, the mean of squared log-sum-exp by hand, errors.
#include <modx/laws/loss.hpp>
#include <modx/loss/router_z.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::loss::router_z;
using modx::labels;
static_assert(modx::Loss<router_z, cpu64, labels> && modx::Loss<router_z, cpu64, modx::var<cpu64>>);

TEST_CASE("loss::router_z obeys the laws of losses") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 2, 5})
    CHECK(modx::laws::of_loss(backend, router_z{2}, 3, e, {.seed = e}).numbers > 20);
}

TEST_CASE("loss::router_z computes weight mean (log sum exp z)^2 over routings") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const double l2 = std::log(2.0), l4 = std::log(4.0);
  const auto z = t.input(rows({{0, 0}, {l2, l2}})), zero = t.input(rows({{-l2, -l2}}));
  modx::remember(modx::dense_routing<cpu64>{{z}, {z}});
  CHECK(near(router_z{3}(z, labels{}).item(), 3 * (l2 * l2 + l4 * l4) / 2));
  modx::remember(modx::dense_routing<cpu64>{{zero}, {zero}});
  CHECK(near(router_z{3}(z, labels{}).item(), 3 * (l2 * l2 + l4 * l4) / 4));
}

TEST_CASE("loss::router_z needs a router") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 0}}));
  CHECK(contains(message([&] { router_z{}(y, labels{}); }),
                 "router_z: expected a router in the forward pass, found none"));
}
