// module::flatten: an image becomes a row.
#include <modx/laws/module.hpp>
#include <modx/module/flatten.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::flatten;
static_assert(modx::Module<flatten, cpu64> && modx::Module<flatten, modx::cpu>);

TEST_CASE("module::flatten obeys the laws of a module and keeps every value") {
  cpu64 backend{1, 1};
  CHECK(modx::laws::of_module(backend, flatten{}, {.in = {2, 3, 2}, .out = 12}).numbers > 60);
  auto m = modx::build(backend, flatten{}, {.in = {1, 2, 2}, .out = 4});
  CHECK(m.predict(rows({{1, 2, 3, 4}})) == rows({{1, 2, 3, 4}}));
  CHECK(flatten{}.output({2, 3, 4}) == modx::extent(24));
  modx::tape<cpu64> t(backend);
  const auto y = m.forward(t.input(rows({{1, 2, 3, 4}}).data, 1, {1, 2, 2}));
  CHECK(y.columns() == modx::extent(4));
}
