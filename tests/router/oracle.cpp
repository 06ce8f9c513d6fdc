// router::oracle: one-hot of the token's domain.
#include <modx/laws/router.hpp>
#include <modx/router/oracle.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::router::oracle;
static_assert(modx::Router<oracle, cpu64> && modx::Router<oracle, modx::cpu>);
static_assert(std::same_as<modx::routing_t<oracle, cpu64>, modx::dense_routing<cpu64>>);

TEST_CASE("router::oracle obeys the laws of routers") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 3, 7}) CHECK(modx::laws::of_router(backend, oracle{}, 3, e).numbers > 10);
}

TEST_CASE("router::oracle knows the domain of each token") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  const oracle::bound<cpu64> router(b, oracle{}, {1, 3});
  modx::tape<cpu64> t(backend);
  const std::vector<std::int32_t> domain = {2, 0};
  t.context.domain = t.input(modx::ids(domain)), t.context.domain_count = 2;
  const auto r = router.route(t.input(modx::matrix<double>(2, 1)));
  CHECK(r.weights.host() == rows({{0, 0, 1}, {1, 0, 0}}));
  CHECK(r.scores.host() == rows({{-1e4, -1e4, 0}, {0, -1e4, -1e4}}));
}

TEST_CASE("router::oracle says what is wrong") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  const oracle::bound<cpu64> router(b, oracle{}, {1, 3});
  modx::tape<cpu64> t(backend);
  const auto x = t.input(modx::matrix<double>(2, 1));
  CHECK(contains(message([&] { router.route(x); }),
                 "router::oracle: expected the domain of each token (batch .domains), found none"));
  for (const auto& bad : {std::vector<std::int32_t>{0, 3}, {0, -1}}) {
    t.context.domain = t.input(modx::ids(bad)), t.context.domain_count = 2;
    const auto text = message([&] { router.route(x); });
    CHECK(contains(text, "id of token 1: expected 0 <= id < 3, found " + std::to_string(bad[1])));
  }
  CHECK(contains(message([&] {
                   oracle::bound<cpu64>(b, oracle{}, {1, 0});
                 }),
                 "router::oracle: expected experts > 0, found 0"));
  t.context.domain_count = 3;
  CHECK(contains(message([&] { router.route(x); }), "router::oracle: expected 2 domain ids, found 3"));
}
