// Operations of top-k routing: gradients, permutations against plain loops, errors.
#include <modx/ops/routing.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;

TEST_CASE("gathering and permuting have true gradients") {
  check_gradients({"gather_columns", [](auto&, inputs x) {
                     const auto* id = ops::top_k(x[0], 2);
                     return ops::square(ops::gather_columns(x[0], id, 2)) * ops::gather_columns(ops::exp(x[0]), id, 2);
                   }}, {{5, 4}});
  check_gradients({"permute_rows", [](auto& t, inputs x) {
                     const auto scores = t.input(modx::laws::draw(5, "scores", 6, 3));
                     return ops::square(
                         ops::permute_rows(x[0], ops::sort_by_expert(t, ops::top_k(scores, 2), 6, 2, 3)));
                   }}, {{6, 3}});
  check_gradients({"permute_rows, read twice", [](auto& t, inputs x) {
                     const auto scores = t.input(modx::laws::draw(5, "scores", 6, 3));
                     const auto p = ops::sort_by_expert(t, ops::top_k(scores, 1), 6, 1, 3);
                     return ops::permute_rows(x[0], p) * ops::permute_rows(ops::exp(x[0]), p) + x[0];
                   }}, {{6, 3}});
}

TEST_CASE("top_k finds the largest, largest first") {
  cpu64 backend{1, 2};
  modx::tape<cpu64> t(backend);
  for (const std::size_t e : {1, 2, 7, 33}) {
    const auto m = modx::laws::draw(e, "x", 9, e);
    for (std::size_t k = 1; k <= e; k = 2 * k) {
      const auto* id = ops::top_k(t.input(m), k);
      for (std::size_t n = 0; n < 9; ++n) {
        std::vector<std::int32_t> order(e);
        for (std::size_t i = 0; i < e; ++i) order[i] = std::int32_t(i);
        std::stable_sort(order.begin(), order.end(),
                         [&](auto a, auto b) { return m(n, std::size_t(a)) > m(n, std::size_t(b)); });
        order.resize(k);
        CHECK(std::vector<std::int32_t>(id + n * k, id + (n + 1) * k) == order);
      }
    }
  }
}

TEST_CASE("sort_by_expert sorts stably") {
  cpu64 backend{1, 2};
  modx::tape<cpu64> t(backend);
  for (const std::size_t n : {0, 1, 50}) {
    const std::size_t k = 3, e = 5;
    const auto* id = ops::top_k(t.input(modx::laws::draw(n, "scores", n, e)), k);
    const auto p = ops::sort_by_expert(t, id, n, k, e);
    std::vector<std::size_t> slots(n * k);
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = i;
    std::stable_sort(slots.begin(), slots.end(), [&](auto a, auto b) { return id[a] < id[b]; });
    for (std::size_t row = 0; row < slots.size(); ++row) {
      CHECK(p.position[slots[row]] == std::int32_t(row));
      CHECK(p.source[row] == std::int32_t(slots[row] / k));
    }
    CHECK(p.offsets[0] == 0);
    CHECK(p.offsets[e] == std::int32_t(n * k));
    for (std::size_t i = 0; i < slots.size(); ++i) {
      CHECK(p.position[i] >= p.offsets[id[i]]);
      CHECK(p.position[i] < p.offsets[id[i] + 1]);
    }
  }
}

TEST_CASE("routing operations say what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(modx::matrix<double>(2, 3));
  CHECK(contains(message([&] { ops::top_k(x, 4); }), "top_k: expected 1 <= k <= 3 experts, found k = 4"));
  CHECK(contains(message([&] { ops::top_k(x, 0); }), "found k = 0"));
  const std::vector<std::int32_t> high = {0, 3}, low = {0, -1}, fine = {0, 1, 2};
  CHECK(contains(message([&] { ops::sort_by_expert(t, t.input(modx::ids(high)), 2, 1, 3); }),
                 "sort_by_expert, id of token 1: expected 0 <= id < 3, found 3"));
  CHECK(contains(message([&] { ops::gather_columns(x, t.input(modx::ids(high)), 1); }),
                 "gather_columns, id of token 1: expected 0 <= id < 3, found 3"));
  CHECK(contains(message([&] { ops::gather_columns(x, t.input(modx::ids(low)), 1); }), "found -1"));
  const auto p = ops::sort_by_expert(t, t.input(modx::ids(fine)), 3, 1, 3);
  CHECK(contains(message([&] { ops::permute_rows(x, p); }), "permute_rows: expected 3 tokens, found 2"));
}
