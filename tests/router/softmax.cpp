// router::softmax: laws, probabilities by hand, temperature, errors.
#include <modx/laws/router.hpp>
#include <modx/router/softmax.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::router::softmax;
static_assert(modx::Router<softmax, cpu64> && modx::Router<softmax, modx::cpu>);
static_assert(std::same_as<modx::routing_t<softmax, cpu64>, modx::dense_routing<cpu64>>);
static_assert(std::same_as<modx::outputs_t<softmax, cpu64>, modx::outputs<cpu64>>);

TEST_CASE("router::softmax obeys the laws of routers") {
  cpu64 backend{1, 1};
  for (const double temperature : {1.0, 0.5, 4.0})
    for (const std::size_t e : {1, 2, 5, 17})
      CHECK(modx::laws::of_router(backend, softmax{temperature}, 3, e, {.seed = e}).numbers > 10);
}

TEST_CASE("router::softmax computes softmax((x W + b) / temperature)") {
  cpu64 backend{1, 1};
  for (const double temperature : {1.0, 2.0}) {
    modx::parameter_list<cpu64> list;
    modx::builder<cpu64> b(backend, list, 1);
    const softmax::bound<cpu64> router(b, softmax{temperature}, {1, 2});
    list[0]->set(rows({{0, temperature * std::log(3.0)}}));
    list[1]->set(rows({{0, 0}}));
    modx::tape<cpu64> t(backend);
    const auto r = router.route(t.input(rows({{0}, {1}, {2}})));
    CHECK(near(r.weights.host(), rows({{0.5, 0.5}, {0.25, 0.75}, {0.1, 0.9}})));
    CHECK(near(r.scores.host(), rows({{0, 0}, {0, std::log(3.0)}, {0, std::log(9.0)}})));
    CHECK(r.experts() == 2);
  }
}

TEST_CASE("router::softmax says what is wrong") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1, "router");
  for (const double bad : {0.0, -1.0, std::nan("")})
    CHECK(contains(message([&] {
                     softmax::bound<cpu64>(b, softmax{bad}, {3, 2});
                   }),
                   "router::softmax: expected temperature > 0"));
  CHECK(contains(message([&] {
                   softmax::bound<cpu64>(b, softmax{}, {3, 0});
                 }),
                 "parameter 'router.weight': expected at least one"));
}
