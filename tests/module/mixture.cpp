// module::mixture: the laws of every combination of routers, combiners and bases, one mixture by hand, errors.
#include <modx/combiner/oracle.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/combiner/residual_sum.hpp>
#include <modx/combiner/uniform.hpp>
#include <modx/expert/linear.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/laws/mixture.hpp>
#include <modx/loss/load_balance.hpp>
#include <modx/loss/router_z.hpp>
#include <modx/module/identity.hpp>
#include <modx/module/linear.hpp>
#include <modx/router/uniform.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;
using module::mixture;

namespace {
const auto moe = mixture{.experts = expert::mlp{.hidden = 4}, .router = router::top_k{.k = 2}, .n_experts = 4};
const auto soft = mixture{.experts = expert::linear{}, .router = router::softmax{}, .n_experts = 3};
const auto red = mixture{.base = module::linear{}, .experts = expert::linear{}, .router = router::softmax{},
                         .combiner = combiner::residual{.scale = 0.5}, .n_experts = 3};
const auto sparse_red = mixture{.base = module::linear{}, .experts = expert::linear{}, .router = router::top_k{.k = 1},
                                .combiner = combiner::residual{}, .n_experts = 3};
constexpr shape io{.in = 3, .out = 2};
}  // namespace
static_assert(Module<std::remove_const_t<decltype(moe)>, cpu64> && Module<std::remove_const_t<decltype(red)>, cpu>);
static_assert(Module<std::remove_const_t<decltype(sparse_red)>, cpu>);

TEST_CASE("module::mixture, dense, obeys the laws of mixtures") {
  cpu64 backend{1, 1};
  CHECK(laws::of_mixture(backend, soft, io).numbers > 100);
  CHECK(laws::of_mixture(backend, red, io, {.seed = 5}).numbers > 100);
  const auto hidden = mixture{.base = module::identity{},
                              .experts = expert::mlp{.hidden = 2},
                              .router = router::softmax{},
                              .combiner = combiner::residual{},
                              .n_experts = 2};
  CHECK(laws::of_mixture(backend, hidden, {.in = 3, .out = 3}).numbers > 100);
  CHECK(laws::one_expert(backend, soft, io).numbers == 10);
  CHECK(laws::zero_scale(backend, red, io).numbers == 10);
  CHECK(laws::repeated_batch(backend, soft, io, {}, loss::load_balance{}, loss::router_z{}).numbers == 36);
}

TEST_CASE("module::mixture, top-k, obeys the laws of mixtures") {
  cpu64 backend{1, 1};
  for (const std::size_t k : {1, 2, 4}) {
    auto spec = moe;
    spec.router.k = k;
    CHECK(laws::of_mixture(backend, spec, io, {.seed = k, .tokens = 6}).numbers > 100);
  }
  auto own = moe;
  own.router.renormalize = false;
  CHECK(laws::of_mixture(backend, own, io).numbers > 100);
  CHECK(laws::of_mixture(backend, sparse_red, io).numbers > 50);
  CHECK(laws::zero_scale(backend, sparse_red, io).numbers == 10);
  auto one = moe;
  one.router.k = 1;
  CHECK(laws::one_expert(backend, one, io).numbers == 10);
  CHECK(laws::repeated_batch(backend, moe, io, {}, loss::load_balance{}, loss::router_z{}).numbers > 50);
}

TEST_CASE("module::mixture of mixtures obeys the laws of a module") {
  cpu64 backend{1, 1};
  const auto nested = mixture{.experts = soft, .router = router::softmax{}, .n_experts = 2};
  CHECK(laws::of_mixture(backend, nested, {.in = 2, .out = 2}, {.tokens = 3}).numbers > 50);
  const auto sparse = mixture{.experts = soft, .router = router::top_k{.k = 1}, .n_experts = 2};
  CHECK(laws::of_mixture(backend, sparse, {.in = 2, .out = 2}, {.tokens = 3}).numbers > 50);
}

TEST_CASE("module::mixture computes base + s sum p_e y_e") {
  cpu64 backend{1, 1};
  auto spec = red;
  spec.n_experts = 2;
  auto m = build(backend, spec, {.in = 1, .out = 1});
  for (const auto& [name, value] : {std::pair{"base.weight", 2.0}, {"base.bias", 1.0}, {"experts.0.weight", 4.0},
                                    {"experts.0.bias", 0.0}, {"experts.1.weight", -4.0}, {"experts.1.bias", 8.0}})
    m.find(name).set(rows({{value}}));
  m.find("router.weight").set(rows({{0, std::log(3.0)}}));  // p = (1, 3^x) / (1 + 3^x)
  m.find("router.bias").set(rows({{0, 0}}));
  // x = 0: 1 + 0.5 (0 + 8) / 2 = 3;  x = 1: 3 + 0.5 (0.25 4 + 0.75 4) = 5
  CHECK(near(m.predict(rows({{0}, {1}})), rows({{3}, {5}})));

  auto sparse = build(backend, mixture{.experts = expert::linear{}, .router = router::top_k{.k = 1}, .n_experts = 2},
                      {.in = 1, .out = 1});
  for (auto* p : sparse.parameters()) p->set(m.find(p->name()).host());
  CHECK(near(sparse.predict(rows({{-1}, {0}, {1}})), rows({{-4}, {0}, {4}})));  // x = 0: a tie, expert 0
}

TEST_CASE("module::mixture shows its parts") {
  cpu64 backend{1, 1};
  auto m = build(backend, red, io);
  tape<cpu64> t(backend);
  const auto x = t.input(laws::draw(1, "x", 4, 3));
  CHECK(m.bound().experts() == 3);
  CHECK(m.bound().base(x).host() == ops::linear(x, m.find("base.weight"), &m.find("base.bias")).host());
  CHECK(m.bound().expert(2, x).host() == ops::linear(x, m.find("experts.2.weight"), &m.find("experts.2.bias")).host());
  CHECK(routings(t) == nullptr);
  const auto r = m.bound().route(x);
  REQUIRE(routings(t) != nullptr);
  CHECK(routings(t)->all.data() == r.weights.data());
  CHECK(routings(t)->ids == nullptr);
  CHECK(routings(t)->next == nullptr);
  m.forward(x);
  CHECK(routings(t)->next != nullptr);
  t.reset();
  CHECK(routings(t) == nullptr);
}

TEST_CASE("module::mixture says what is wrong") {
  cpu64 backend{1, 1};
  auto none = soft;
  none.n_experts = 0;
  CHECK(contains(message([&] { build(backend, none, io); }), "mixture: expected experts > 0, found 0"));
  auto many = moe;
  many.router.k = 5;
  CHECK(contains(message([&] { build(backend, many, io); }),
                 "router::top_k: expected 1 <= k <= 4 experts, found k = 5"));
  many.router.k = 0;
  CHECK(contains(message([&] { build(backend, many, io); }), "found k = 0"));
  auto m = build(backend, soft, io);
  tape<cpu64> t(backend);
  const auto x = t.input(matrix<double>(2, 3));
  CHECK(contains(message([&] { m.bound().expert(3, x); }), "mixture::expert: expected an expert below 3, found 3"));
  CHECK(contains(message([&] { m.forward(t.input(matrix<double>(2, 4))); }), "expected 4 rows of the weight"));

  const auto oracle = mixture{.experts = expert::linear{}, .router = router::uniform{}, .combiner = combiner::oracle{},
                              .n_experts = 3};
  auto o = build(backend, oracle, io);
  CHECK(contains(message([&] { o.forward(x); }),
                 "combiner: expected the domain of each token (batch .domains), found none"));
  const std::vector<std::int32_t> one = {1}, wrong = {0, 3};
  t.context.domain = t.input(ids(one)), t.context.domain_count = 1;
  CHECK(contains(message([&] { o.forward(x); }), "combiner: expected 2 domain ids, found 1"));
  t.context.domain = t.input(ids(wrong)), t.context.domain_count = 2;
  CHECK(contains(message([&] { o.forward(x); }), "id of token 1: expected 0 <= id < 3, found 3"));
}
