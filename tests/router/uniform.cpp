// router::uniform: p = 1 / e.
#include <modx/laws/router.hpp>
#include <modx/router/uniform.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::router::uniform;
static_assert(modx::Router<uniform, cpu64> && modx::Router<uniform, modx::cpu>);
static_assert(std::same_as<modx::routing_t<uniform, cpu64>, modx::dense_routing<cpu64>>);

TEST_CASE("router::uniform obeys the laws of routers") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 3, 7}) CHECK(modx::laws::of_router(backend, uniform{}, 3, e).numbers > 10);
}

TEST_CASE("router::uniform weighs every expert by 1 / e") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  const uniform::bound<cpu64> router(b, uniform{}, {3, 4});
  modx::tape<cpu64> t(backend);
  const auto r = router.route(t.input(modx::matrix<double>(2, 3)));
  CHECK(r.weights.host() == rows({{0.25, 0.25, 0.25, 0.25}, {0.25, 0.25, 0.25, 0.25}}));
  CHECK_FALSE(r.weights.needs_gradient());
  CHECK(list.empty());
}

TEST_CASE("router::uniform needs experts") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  CHECK(contains(message([&] {
                   uniform::bound<cpu64>(b, uniform{}, {3, 0});
                 }),
                 "router::uniform: expected experts > 0, found 0"));
}
