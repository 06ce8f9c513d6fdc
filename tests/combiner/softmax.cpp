// combiner::softmax: sum p_e y_e, dense and in slots.
#include <modx/combiner/softmax.hpp>
#include <modx/laws/combiner.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::combiner::softmax;
using modx::outputs, modx::dense_routing, modx::slot_outputs, modx::top_k_routing;
static_assert(modx::Combiner<softmax, cpu64, outputs<cpu64>, dense_routing<cpu64>>);
static_assert(modx::Combiner<softmax, cpu64, slot_outputs<cpu64>, top_k_routing<cpu64>>);

TEST_CASE("combiner::softmax obeys the laws of combiners") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 2, 5})
    for (const std::size_t m : {1, 4})
      CHECK(modx::laws::of_combiner(backend, softmax{}, e, m, {.seed = e + m}).numbers > 30);
}

TEST_CASE("combiner::softmax computes sum p_e y_e") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{10, 20, 30, 40}, {1, 2, 3, 4}})), p = t.input(rows({{0.25, 0.75}, {1, 0}}));
  CHECK(near(softmax{}.combine(outputs<cpu64>{y, 2}, dense_routing<cpu64>{{p}, {p}}).host(), rows({{25, 35}, {1, 2}})));

  const std::vector<std::int32_t> id = {1, 0, 0,
                                        1};  // rows: token 0 slot 1, token 1 slot 0, token 0 slot 0, token 1 slot 1
  const auto* ids = t.input(modx::ids(id));
  const auto order = modx::ops::sort_by_expert(t, ids, 2, 2, 2);
  const auto slots = t.input(rows({{1, 10}, {2, 20}, {3, 30}, {4, 40}}));
  const top_k_routing<cpu64> sparse{{p}, {p}, {p}, ids, order};
  CHECK(near(softmax{}.combine(slot_outputs<cpu64>{slots, order}, sparse).host(), rows({{1.5, 15}, {2, 20}})));
}

TEST_CASE("combiner::softmax says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{10, 20, 30, 40}})), w = t.input(rows({{1}}));
  CHECK(contains(message([&] { softmax{}.combine(outputs<cpu64>{y, 2}, dense_routing<cpu64>{{w}, {w}}); }),
                 "weighted_sum: expected weights 1 x 2, found 1 x 1"));
  const std::vector<std::int32_t> id = {0, 1}, wrong = {0, 2};
  const auto order = modx::ops::sort_by_expert(t, t.input(modx::ids(id)), 1, 2, 2);
  const top_k_routing<cpu64> sparse{{w}, {w}, {w}, nullptr, order};
  CHECK(contains(message([&] { softmax{}.combine(slot_outputs<cpu64>{t.input(rows({{1}, {2}})), order}, sparse); }),
                 "weighted_sum: expected weights 1 x 2, found 1 x 1"));
  CHECK(contains(message([&] { modx::ops::sort_by_expert(t, t.input(modx::ids(wrong)), 1, 2, 2); }),
                 "sort_by_expert, id of token 0: expected 0 <= id < 2, found 2"));
}
