// loss::load_balance: laws, e sum f_i P_i by hand, errors.
#include <modx/laws/loss.hpp>
#include <modx/loss/load_balance.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::loss::load_balance;
using modx::labels;
static_assert(modx::Loss<load_balance, cpu64, labels> && modx::Loss<load_balance, cpu64, modx::var<cpu64>>);

TEST_CASE("loss::load_balance obeys the laws of losses") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 2, 4, 7})
    CHECK(modx::laws::of_loss(backend, load_balance{0.5}, 3, e, {.seed = e, .tokens = 6}).numbers > 20);
}

TEST_CASE("loss::load_balance computes weight e sum f_i P_i") {
  cpu64 backend{1, 1};
  const auto value = [&](const modx::matrix<double>& p, std::size_t k, double weight) {
    modx::tape<cpu64> t(backend);
    const auto probabilities = t.input(p);
    const auto* id = modx::ops::top_k(probabilities, k ? k : 1);
    if (k == 0) {
      modx::remember(modx::dense_routing<cpu64>{{probabilities}, {probabilities}});
    } else {
      const auto order = modx::ops::sort_by_expert(t, id, p.rows, k, p.cols);
      modx::remember(modx::top_k_routing<cpu64>{{probabilities}, {probabilities}, {probabilities}, id, order});
    }
    return load_balance{weight}(probabilities, labels{}).item();
  };
  // f = (2, 1) / 3, P = (0.5, 0.5): 2 (1/3 + 1/6) = 1
  const auto p = rows({{0.6, 0.4}, {0.7, 0.3}, {0.2, 0.8}});
  CHECK(near(value(p, 1, 1), 1));
  CHECK(near(value(p, 0, 1), 1));  // dense: the largest weight counts
  CHECK(near(value(p, 2, 1), 1));  // everybody works
  CHECK(near(value(rows({{0.9, 0.1}, {0.7, 0.3}}), 1, 0.01), 0.01 * 2 * 0.8));  // everything to expert 0
  CHECK(near(value(rows({{1, 0, 0}, {1, 0, 0}}), 1, 1), 3));                     // the worst: e
  CHECK(near(value(rows({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}), 1, 1), 1));          // the best: 1
}

TEST_CASE("loss::load_balance is the mean over the step's routings") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto p = t.input(rows({{1, 0}, {1, 0}})), q = t.input(rows({{1, 0}, {0, 1}}));
  modx::remember(modx::dense_routing<cpu64>{{p}, {p}});
  modx::remember(modx::dense_routing<cpu64>{{q}, {q}});
  CHECK(near(load_balance{1}(p, labels{}).item(), 1.5));
}

TEST_CASE("loss::load_balance needs a router") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 0}}));
  CHECK(contains(message([&] { load_balance{}(y, labels{}); }),
                 "load_balance: expected a router in the forward pass, found none"));
}
