// module::max_pool: laws, windows by hand, errors.
#include <modx/laws/module.hpp>
#include <modx/module/max_pool.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::max_pool;
static_assert(modx::Module<max_pool, cpu64> && modx::Module<max_pool, modx::cpu>);

TEST_CASE("module::max_pool obeys the laws of a module") {
  cpu64 backend{1, 1};
  for (const auto& in : {modx::extent(4, 4, 1), modx::extent(5, 7, 3), modx::extent(2, 2, 9)})
    CHECK(
        modx::laws::of_module(backend, max_pool{}, {.in = in, .out = max_pool{}.output(in)}, {.tokens = 2}).numbers >
        0);
  const modx::extent in(6, 7, 2);
  modx::laws::of_module(backend, max_pool{3}, {.in = in, .out = max_pool{3}.output(in)}, {.tokens = 2});
  modx::laws::of_module(backend, max_pool{1}, {.in = in, .out = in}, {.tokens = 1});
}

TEST_CASE("module::max_pool takes the largest of each window, the first of equals, and drops the edge") {
  cpu64 backend{1, 1};
  // one channel, 2 x 5: windows {1 5 / 3 4} and {-1 -1 / -1 -1}; the last column is left over
  auto m = modx::build(backend, max_pool{}, {.in = {2, 5, 1}, .out = {1, 2, 1}});
  const auto x = rows({{1, 5, -1, -1, 9, 3, 4, -1, -1, 9}});
  CHECK(m.predict(x) == rows({{5, -1}}));
  CHECK(max_pool{}.output({5, 7, 3}) == modx::extent(2, 3, 3));
  modx::tape<cpu64> t(backend);
  const auto in = t.input(x.data, 1, {2, 5, 1}, true);
  t.backward(modx::ops::sum(m.forward(in)));
  CHECK(std::vector<double>(in.gradient(), in.gradient() + 10) == std::vector<double>{0, 1, 1, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("module::max_pool says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(std::vector<double>(6), 1, {2, 3, 1});
  CHECK(contains(message([&] { modx::ops::max_pool(x, 3); }),
                 "max_pool: expected an image of at least 3 x 3, found 2x3x1"));
  CHECK(contains(message([&] { modx::ops::max_pool(x, 0); }), "max_pool: expected size > 0, found 0"));
  CHECK(contains(message([&] { max_pool{0}.output({4, 4, 1}); }), "max_pool: expected size > 0"));
}
