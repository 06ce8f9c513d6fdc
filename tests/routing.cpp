// What a step remembers of its routings, and the domains of its tokens.
#include <modx/routing.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;

TEST_CASE("routings are remembered, the last one first, until the step ends") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  CHECK(routings(t) == nullptr);
  const auto z = t.input(rows({{3, 1, 2}, {0, 5, 4}}));
  const auto p = ops::softmax_rows(z);
  const dense_routing<cpu64> dense{{z}, {p}};
  CHECK(dense.experts() == 3);
  remember(dense);
  const auto* id = ops::top_k(z, 2);
  const auto w = ops::softmax_rows(ops::gather_columns(z, id, 2));
  const top_k_routing<cpu64> sparse{{z}, {p}, {w}, id, ops::sort_by_expert(t, id, 2, 2, 3)};
  CHECK(sparse.experts() == 3);
  remember(sparse);
  const auto* last = routings(t);
  REQUIRE(last != nullptr);
  CHECK(last->ids == id);
  CHECK(last->k == 2);
  CHECK(last->all.data() == p.data());
  REQUIRE(last->next != nullptr);
  CHECK(last->next->ids == nullptr);
  CHECK(last->next->scores.data() == z.data());
  CHECK(last->next->next == nullptr);
  t.reset();
  CHECK(routings(t) == nullptr);
}

TEST_CASE("domains() gives one id a token, or says who asked") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto x = t.input(matrix<double>(2, 3));
  CHECK(message([&] { domains("mine", x); }) ==
        "modx: mine: expected the domain of each token (batch .domains), found none");
  const std::vector<std::int32_t> id = {4, 7};
  t.context.domain = t.input(ids(id)), t.context.domain_count = 2;
  CHECK(domains("mine", x).count == 2);
  CHECK(domains("mine", x).id[1] == 7);
  t.context.domain_count = 1;
  CHECK(message([&] { domains("mine", x); }) == "modx: mine: expected 2 domain ids, found 1");
}
