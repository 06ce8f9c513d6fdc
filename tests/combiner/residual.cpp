// combiner::residual: base + s sum p_e y_e, dense and in slots.
#include <modx/combiner/residual.hpp>
#include <modx/laws/combiner.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::combiner::residual;
using modx::outputs, modx::dense_routing, modx::slot_outputs, modx::top_k_routing;
static_assert(modx::Combiner<residual, cpu64, outputs<cpu64>, dense_routing<cpu64>>);
static_assert(modx::Combiner<residual, cpu64, slot_outputs<cpu64>, top_k_routing<cpu64>>);
static_assert(!modx::CombinesOutputs<residual, cpu64, outputs<cpu64>, dense_routing<cpu64>>, "it needs a base");

TEST_CASE("combiner::residual obeys the laws of combiners") {
  cpu64 backend{1, 1};
  for (const double scale : {0.1, 1.0, -2.0, 0.0})
    for (const std::size_t e : {1, 3})
      for (const std::size_t m : {1, 5})
        CHECK(modx::laws::of_combiner(backend, residual{scale}, e, m, {.seed = e + m}).numbers > 30);
}

TEST_CASE("combiner::residual computes base + s sum p_e y_e") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto base = t.input(rows({{1, 2}})), y = t.input(rows({{10, 20, 30, 40}})), p = t.input(rows({{0.25, 0.75}}));
  const dense_routing<cpu64> dense{{p}, {p}};
  CHECK(near(residual{0.5}.combine(base, outputs<cpu64>{y, 2}, dense).host(), rows({{1 + 12.5, 2 + 17.5}})));
  CHECK(residual{0}.combine(base, outputs<cpu64>{y, 2}, dense).host() == base.host());

  const std::vector<std::int32_t> id = {2, 0};  // of three experts: slot 0 is row 1, slot 1 is row 0
  const auto* ids = t.input(modx::ids(id));
  const auto order = modx::ops::sort_by_expert(t, ids, 1, 2, 3);
  const auto rows_by_expert = t.input(rows({{10, 20}, {30, 40}}));
  const top_k_routing<cpu64> sparse{{p}, {p}, {p}, ids, order};
  CHECK(near(residual{1}.combine(base, slot_outputs<cpu64>{rows_by_expert, order}, sparse).host(),
             rows({{1 + 0.25 * 30 + 0.75 * 10, 2 + 0.25 * 40 + 0.75 * 20}})));
}

TEST_CASE("combiner::residual says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto base = t.input(rows({{1, 2}})), y = t.input(rows({{10, 20, 30, 40}}));
  const auto three = t.input(rows({{0.25, 0.25, 0.5}})), narrow = t.input(rows({{1}}));
  const outputs<cpu64> two{y, 2};
  CHECK(contains(message([&] { residual{}.combine(base, two, dense_routing<cpu64>{{three}, {three}}); }),
                 "weighted_sum: expected weights 1 x 2, found 1 x 3"));
  const auto p = t.input(rows({{0.5, 0.5}}));
  CHECK(contains(message([&] {
                   residual{}.combine(narrow, two, dense_routing<cpu64>{{p}, {p}});
                 }),
                 "add: expected 1 x 1, found 1 x 2"));
}
