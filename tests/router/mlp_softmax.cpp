// router::mlp_softmax: laws, probabilities by hand, errors.
#include <modx/laws/router.hpp>
#include <modx/router/mlp_softmax.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::router::mlp_softmax;
static_assert(modx::Router<mlp_softmax, cpu64> && modx::Router<mlp_softmax, modx::cpu>);
static_assert(std::same_as<modx::routing_t<mlp_softmax, cpu64>, modx::dense_routing<cpu64>>);

TEST_CASE("router::mlp_softmax obeys the laws of routers") {
  cpu64 backend{1, 1};
  for (const auto act : {modx::activation::relu, modx::activation::gelu, modx::activation::tanh})
    for (const std::size_t e : {1, 2, 5})
      CHECK(modx::laws::of_router(backend, mlp_softmax{.hidden = 4, .act = act}, 3, e, {.seed = e}).numbers > 40);
}

TEST_CASE("router::mlp_softmax computes softmax(mlp(x))") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  const mlp_softmax::bound<cpu64> router(b, mlp_softmax{.hidden = 1}, {1, 2});
  REQUIRE(list.size() == 4);
  list[0]->set(rows({{1}}));
  list[1]->set(rows({{-1}}));  // h = relu(x - 1)
  list[2]->set(rows({{std::log(3.0), 0}}));
  list[3]->set(rows({{0, 0}}));
  modx::tape<cpu64> t(backend);
  const auto r = router.route(t.input(rows({{0}, {2}, {3}})));
  CHECK(near(r.weights.host(), rows({{0.5, 0.5}, {0.75, 0.25}, {0.9, 0.1}})));
}

TEST_CASE("router::mlp_softmax says what is wrong") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1, "router");
  CHECK(contains(message([&] {
                   mlp_softmax::bound<cpu64>(b, mlp_softmax{.hidden = 0}, {3, 2});
                 }),
                 "'router.up.weight'"));
  CHECK(contains(message([&] { mlp_softmax::bound<cpu64>(b, mlp_softmax{}, {3, 0}); }), "'router.down.weight'"));
}
