// module::embedding: rows, places, errors; what occurs is trained and nothing else.
#include <modx/module/embedding.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::embedding;
using lengths = std::vector<std::size_t>;
static_assert(modx::Module<embedding, cpu64> && modx::Module<embedding, modx::cpu>);

TEST_CASE("module::embedding looks up rows and adds places; every parameter moves") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, embedding{.vocabulary = 3, .positions = 4}, {.in = 1, .out = 2});
  m.find("weight").set(rows({{1, 2}, {3, 4}, {5, 6}}));
  m.find("position").set(rows({{0, 0.5}, {10, 0}, {20, 0}, {30, 0}}));
  CHECK(m.predict(rows({{2}, {0}, {2}, {1}}), lengths{3, 1}) == rows({{5, 6.5}, {11, 2}, {25, 6}, {3, 4.5}}));
  CHECK(contains(message([&] { m.predict(rows({{2}, {3}}), lengths{2}); }),
                 "id of token 1: expected 0 <= id < 3, found 3"));
  CHECK(contains(message([&] { m.predict(rows({{2}, {0.5}}), lengths{2}); }), "found -1"));
  CHECK(contains(message([&] { m.predict(rows({{2}}), {}); }), "embedding: expected the sequences"));
  CHECK(contains(message([&] { m.predict(modx::matrix<double>(5, 1), lengths{5}); }),
                 "sequences of at most 4 tokens, found 5"));
  CHECK(contains(message([&] { modx::build(backend, embedding{.vocabulary = 3}, {.in = 2, .out = 2}); }),
                 "column in (an id)"));
  const auto table = m.find("weight").host(), places = m.find("position").host();
  modx::train_step(m, modx::optimizer::adamw{.lr = 0.1, .weight_decay = 0},
                   [](auto y, const auto& want) { return modx::ops::mean(modx::ops::square(y - want)); },
                   rows({{2}, {0}}), modx::matrix<double>(2, 2), {.sequences = lengths{2}});
  CHECK(m.find("weight").host().row(0)[0] != table.row(0)[0]);
  CHECK(m.find("weight").host().row(1)[0] == table.row(1)[0]);  // id 1 did not occur
  CHECK(m.find("position").host().row(1)[0] != places.row(1)[0]);
}
