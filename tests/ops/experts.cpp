// Folding experts' outputs: gradients, also of outputs with several readers; values by hand; errors.
#include <modx/ops/routing.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;
using modx::outputs, modx::slot_outputs;

namespace {
/// The slots of tokens 0 .. n - 1 among e experts, k each, from fixed scores.
modx::permutation slots(modx::tape<cpu64>& t, std::size_t n, std::size_t k, std::size_t e) {
  const auto scores = t.input(modx::laws::draw(11, "scores", n, e));
  return ops::sort_by_expert(t, ops::top_k(scores, k), n, k, e);
}
}  // namespace

TEST_CASE("folding experts has true gradients") {
  const modx::shape w{4, 3}, y{4, 6}, slot_w{4, 2}, slot_y{8, 5}, part{4, 2};
  check_gradients({"weighted_sum",
                   [](auto&, inputs x) {
                     return ops::weighted_sum(x[0], outputs<cpu64>{x[1], 3});
                   }},
                  {w, y});
  check_gradients({"weighted_sum, m = 1",
                   [](auto&, inputs x) {
                     return ops::weighted_sum(x[0], outputs<cpu64>{x[0], 3});
                   }},
                  {w});
  check_gradients({"outputs read twice", [](auto&, inputs x) {
                     const outputs<cpu64> o{x[1], 3};
                     return ops::weighted_sum(x[0], o) * ops::sum_experts(o) + o[1];
                   }}, {w, y});
  check_gradients({"weighted_sum of slots", [](auto& t, inputs x) {
                     return ops::weighted_sum(x[0], slot_outputs<cpu64>{x[1], slots(t, 4, 2, 3)});
                   }}, {slot_w, slot_y});
  check_gradients({"slots read twice", [](auto& t, inputs x) {
                     const slot_outputs<cpu64> o{x[1], slots(t, 4, 2, 3)};
                     return ops::weighted_sum(x[0], o) * ops::weighted_sum(ops::square(x[0]), o);
                   }}, {slot_w, slot_y});
  check_gradients({"slots and a sum", [](auto& t, inputs x) {
                     const slot_outputs<cpu64> o{x[1], slots(t, 4, 2, 3)};
                     return ops::add_row(ops::weighted_sum(x[0], o), ops::mean_of_rows(ops::square(x[1])));
                   }}, {slot_w, slot_y});
  check_gradients({"sum_experts", [](auto&, inputs x) { return ops::sum_experts(outputs<cpu64>{x[0], 2}); }}, {y});
  check_gradients({"outputs[i]", [](auto&, inputs x) {
                     const outputs<cpu64> o{x[0], 3};
                     return ops::square(o[0]) * o[2];
                   }}, {y});
  check_gradients({"pick_expert", [](auto& t, inputs x) {
                     static const std::vector<std::int32_t> id = {2, 0, 0, 1};
                     return ops::pick_expert(outputs<cpu64>{x[0], 3}, t.input(modx::ids(id))) *
                            ops::columns(x[0], 0, 2);
                   }}, {y});
  check_gradients({"stack", [](auto&, inputs x) {
                     const variable parts[] = {x[0], x[1], x[0]};
                     return ops::square(ops::stack(inputs(parts)).y);
                   }}, {part, part});
  check_gradients({"mix_experts", [](auto&, inputs x) {
                     const auto z = ops::mix_experts(x[0], outputs<cpu64>{x[1], 3});
                     return ops::square(z.y) * x[1];
                   }}, {{3, 3}, y});
  check_gradients({"mix_experts, a matrix a token", [](auto&, inputs x) {
                     const auto z = ops::mix_experts(x[0], outputs<cpu64>{x[1], 3});
                     return ops::square(z.y) * x[1];
                   }}, {{4, 9}, y});
  check_gradients({"mix_experts, wide", [](auto&, inputs x) {
                     return ops::mix_experts(x[0], outputs<cpu64>{x[1], 2}).y;
                   }}, {{2, 4}, {2, 2 * 67}});
  check_gradients({"gram_experts", [](auto&, inputs x) {
                     const outputs<cpu64> o{x[0], 3};
                     return ops::square(ops::gram_experts(o)) * ops::gram_experts(o);
                   }}, {y});
  check_gradients({"concat_rows", [](auto&, inputs x) {
                     const variable parts[] = {x[0], x[1], ops::rows(x[0], 1, 0), x[0]};
                     return ops::square(ops::concat_rows(inputs(parts)));
                   }}, {part, {1, 2}});
}

TEST_CASE("folding experts computes what it says") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 2, 3, 4}, {5, 6, 7, 8}})), w = t.input(rows({{2, 10}, {0, 1}}));
  const outputs<cpu64> o{y, 2};
  CHECK(o.width() == 2);
  CHECK(o.tokens() == 2);
  CHECK(o[1].host() == rows({{3, 4}, {7, 8}}));
  CHECK(ops::weighted_sum(w, o).host() == rows({{32, 44}, {7, 8}}));
  CHECK(ops::sum_experts(o).host() == rows({{4, 6}, {12, 14}}));
  CHECK(ops::mean_experts(o).host() == rows({{2, 3}, {6, 7}}));
  const double presence[] = {1, 0.5};
  const outputs<cpu64> partly{y, 2, presence};
  CHECK(ops::sum_experts(partly).host() == rows({{2.5, 4}, {8.5, 10}}));
  CHECK(near(ops::mean_experts(partly).host(), rows({{5.0 / 3, 8.0 / 3}, {17.0 / 3, 20.0 / 3}})));
  const auto c = t.input(rows({{0, 1}, {2, -1}}));
  CHECK(ops::mix_experts(c, o).y.host() == rows({{3, 4, -1, 0}, {7, 8, 3, 4}}));
  CHECK(ops::mix_experts(c, o).experts == 2);
  const auto own = t.input(rows({{0, 1, 2, -1}, {1, 0, 0, 1}}));
  CHECK(ops::mix_experts(own, o).y.host() == rows({{3, 4, -1, 0}, {5, 6, 7, 8}}));
  CHECK(ops::gram_experts(o).host() == rows({{5, 11, 11, 25}, {61, 83, 83, 113}}));
  const variable parts[] = {o[1], o[0]};
  CHECK(ops::stack(inputs(parts)).y.host() == rows({{3, 4, 1, 2}, {7, 8, 5, 6}}));
  CHECK(ops::stack(inputs(parts)).experts == 2);
  CHECK(ops::concat_rows(inputs(parts)).host() == rows({{3, 4}, {7, 8}, {1, 2}, {5, 6}}));
}

TEST_CASE("folding experts says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(modx::matrix<double>(2, 4)), w = t.input(modx::matrix<double>(2, 3)),
             one = t.input(modx::matrix<double>(1, 4));
  const outputs<cpu64> o{y, 2};
  CHECK(contains(message([&] { ops::weighted_sum(w, o); }), "weighted_sum: expected weights 2 x 2, found 2 x 3"));
  CHECK(contains(message([&] { ops::weighted_sum(w, slot_outputs<cpu64>{y, slots(t, 2, 1, 2)}); }),
                 "weighted_sum: expected weights 2 x 1, found 2 x 3"));
  CHECK(contains(message([&] { ops::mix_experts(w, o); }), "mix_experts: expected a matrix 2 x 2, or 2 x 4, found 2 x 3"));
  CHECK(contains(message([&] { ops::stack(inputs()); }), "stack: expected at least one tensor, found none"));
  CHECK(contains(message([&] { ops::concat_rows(inputs()); }),
                 "concat_rows: expected at least one tensor, found none"));
  const variable uneven[] = {y, w}, short_one[] = {y, one};
  CHECK(contains(message([&] { ops::stack(inputs(uneven)); }), "stack: expected 2 x 4, found 2 x 3"));
  CHECK(contains(message([&] { ops::stack(inputs(short_one)); }), "stack: expected 2 x 4, found 1 x 4"));
  CHECK(contains(message([&] { ops::concat_rows(inputs(uneven)); }), "concat_rows: expected 4 columns, found 3"));
}
