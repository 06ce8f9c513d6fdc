// expert::lifted_bank and the choice of a bank: any module runs as e experts.
#include <modx/expert/linear.hpp>
#include <modx/expert/low_rank.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/laws/expert.hpp>
#include <modx/module/identity.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mlp.hpp>
#include <modx/module/residual.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;
template <class S>
using bank = expert::bank_t<S, cpu64>;

static_assert(std::same_as<bank<module::mlp>, expert::lifted_bank<module::mlp, cpu64>>);
static_assert(std::same_as<bank<expert::mlp>, expert::mlp::bank<cpu64>>);
static_assert(!HasBank<module::linear, cpu64> && HasBank<expert::linear, cpu64> && HasBank<expert::low_rank, cpu>);

TEST_CASE("expert::lifted_bank obeys the laws of experts") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 2, 4}) {
    CHECK(laws::of_expert(backend, module::linear{}, {.in = 3, .out = 2}, e).numbers > 50);
    CHECK(laws::of_expert(backend, module::residual<module::mlp>{{.hidden = 3}}, {.in = 2, .out = 2}, e).numbers > 50);
    CHECK(laws::of_expert(backend, module::identity{}, {.in = 2, .out = 2}, e).numbers > 10);
  }
}

TEST_CASE("uneven_offsets covers every row and leaves the second expert idle") {
  for (const std::size_t e : {1, 2, 3, 5})
    for (const std::size_t n : {0, 1, 2, 5, 9}) {
      const auto o = laws::uneven_offsets(n, e);
      REQUIRE(o.size() == e + 1);
      CHECK(o[0] == 0);
      CHECK(o[e] == std::int32_t(n));
      for (std::size_t i = 0; i < e; ++i) CHECK(o[i] <= o[i + 1]);
      if (e > 2) CHECK(o[1] == o[2]);
    }
}

TEST_CASE("a bank computes every expert side by side, or each its own rows") {
  cpu64 backend{1, 1};
  const auto check = [&](auto spec) {
    parameter_list<cpu64> list;
    builder<cpu64> b(backend, list, 1);
    const expert::bank_t<decltype(spec), cpu64> two(b, spec, shape{1, 1}, 2);
    for (auto& p : list) p->set(rows({{p->name() == "0.weight" ? 2.0 : p->name() == "1.weight" ? 3.0 : 0.0}}));
    tape<cpu64> t(backend);
    const auto x = t.input(rows({{1}, {10}, {100}}));
    CHECK(two.forward({x, nullptr}).host() == rows({{2, 3}, {20, 30}, {200, 300}}));
    const std::int32_t offsets[] = {0, 1, 3}, all_last[] = {0, 0, 3};
    CHECK(two.forward({x, offsets}).host() == rows({{2}, {30}, {300}}));
    CHECK(two.forward({x, all_last}).host() == rows({{3}, {30}, {300}}));
    CHECK(two.one(1, x).host() == rows({{3}, {30}, {300}}));
    CHECK(two.size() == 2);
  };
  check(expert::linear{});
  check(module::linear{});
}

TEST_CASE("experts of a bank start differently, and from their names only") {
  cpu64 backend{1, 1};
  const auto start = [&](std::size_t e) {
    parameter_list<cpu64> list;
    builder<cpu64> b(backend, list, 7);
    const expert::mlp::bank<cpu64> bank_of_e(b, expert::mlp{.hidden = 2}, shape{2, 2}, e);
    std::vector<std::pair<std::string, matrix<double>>> out;
    for (auto& p : list) out.emplace_back(p->name(), p->host());
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& c) { return a.first < c.first; });
    return out;
  };
  const auto one = start(1), three = start(3);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i] == three[i]);
  CHECK(three[0].second != three[4].second);
}
