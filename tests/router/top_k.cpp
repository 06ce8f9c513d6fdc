// router::top_k: laws for every k, ids and weights by hand, ties, NaN, errors.
#include <limits>
#include <modx/laws/router.hpp>
#include <modx/router/top_k.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::router::top_k;
static_assert(modx::Router<top_k, cpu64> && modx::Router<top_k, modx::cpu>);
static_assert(std::same_as<modx::routing_t<top_k, cpu64>, modx::top_k_routing<cpu64>>);
static_assert(std::same_as<modx::outputs_t<top_k, cpu64>, modx::slot_outputs<cpu64>>);

namespace {
/// A router on one input whose logits are x times `logits`.
struct fixture {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b{backend, list, 1};
  top_k::bound<cpu64> router;
  modx::tape<cpu64> t{backend};

  fixture(const top_k& spec, const modx::matrix<double>& logits) : router(b, spec, {1, logits.cols}) {
    list[0]->set(logits);
    list[1]->set(modx::matrix<double>(1, logits.cols));
  }
};
std::vector<std::int32_t> ids_of(const modx::top_k_routing<cpu64>& r) {
  return {r.ids, r.ids + r.weights.size()};
}
}  // namespace

TEST_CASE("router::top_k obeys the laws of routers") {
  cpu64 backend{1, 1};
  for (const bool renormalize : {true, false})
    for (const std::size_t e : {1, 2, 5, 9})
      for (std::size_t k = 1; k <= e; k += 2)
        CHECK(modx::laws::of_router(backend, top_k{k, renormalize}, 3, e, {.seed = 10 * e + k}).numbers > 10);
}

TEST_CASE("router::top_k weighs the k best") {
  const double l2 = std::log(2.0);
  for (const bool renormalize : {true, false}) {
    fixture f({.k = 2, .renormalize = renormalize}, rows({{0, 2 * l2, l2, 0}}));  // p = (1, 4, 2, 1) / 8
    const auto r = f.router.route(f.t.input(rows({{1}, {-1}})));                  // and (4, 1, 2, 4) / 11
    CHECK(ids_of(r) == std::vector<std::int32_t>{1, 2, 0, 3});
    CHECK(near(r.all.host(), rows({{0.125, 0.5, 0.25, 0.125}, {4 / 11., 1 / 11., 2 / 11., 4 / 11.}})));
    const auto expected = renormalize ? rows({{2 / 3., 1 / 3.}, {0.5, 0.5}}) : rows({{0.5, 0.25}, {4 / 11., 4 / 11.}});
    CHECK(near(r.weights.host(), expected));
    const std::vector<std::int32_t> offsets(r.order.offsets, r.order.offsets + 5);
    CHECK(offsets == std::vector<std::int32_t>{0, 1, 2, 3, 4});
  }
}

TEST_CASE("router::top_k gives ties to the lowest index") {
  fixture f({.k = 3}, rows({{1, 2, 2, 1, 2, 1}}));
  const auto r = f.router.route(f.t.input(rows({{1}, {0}, {-1}})));
  CHECK(ids_of(r) == std::vector<std::int32_t>{1, 2, 4, 0, 1, 2, 0, 3, 5});
  CHECK(near(r.weights.host(),
             rows({{1 / 3., 1 / 3., 1 / 3.}, {1 / 3., 1 / 3., 1 / 3.}, {1 / 3., 1 / 3., 1 / 3.}})));
}

TEST_CASE("router::top_k sorts tokens by expert, stably, with empty experts") {
  fixture f({.k = 1}, rows({{-1, 0, 1}}));
  const auto r = f.router.route(f.t.input(rows({{1}, {-1}, {2}, {-2}, {3}})));  // experts 2 0 2 0 2
  const auto& p = r.order;
  CHECK(std::vector<std::int32_t>(p.offsets, p.offsets + 4) == std::vector<std::int32_t>{0, 2, 2, 5});
  CHECK(std::vector<std::int32_t>(p.position, p.position + 5) == std::vector<std::int32_t>{2, 0, 3, 1, 4});
  CHECK(std::vector<std::int32_t>(p.source, p.source + 5) == std::vector<std::int32_t>{1, 3, 0, 2, 4});
}

TEST_CASE("router::top_k stays in range when logits are not numbers") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  fixture f({.k = 2}, rows({{1, 1, 1}}));
  for (const double x : {nan, inf, -inf}) {
    const auto id = ids_of(f.router.route(f.t.input(rows({{x}}))));
    CHECK((id[0] >= 0 && id[0] < 3 && id[1] >= 0 && id[1] < 3 && id[0] != id[1]));
  }
}

TEST_CASE("router::top_k says what is wrong") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  const auto make = [&](std::size_t k, std::size_t e) {
    return message([&] { top_k::bound<cpu64>(b, top_k{.k = k}, {3, e}); });
  };
  CHECK(contains(make(5, 4), "router::top_k: expected 1 <= k <= 4 experts, found k = 5"));
  CHECK(contains(make(0, 4), "router::top_k: expected 1 <= k <= 4 experts, found k = 0"));
  CHECK(contains(make(1, 0), "found k = 1"));
  CHECK(list.empty());
}
