// module::identity: y = x.
#include <modx/laws/module.hpp>
#include <modx/module/identity.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::identity;
static_assert(modx::Module<identity, cpu64> && modx::Module<identity, modx::cpu>);

TEST_CASE("module::identity obeys the laws of a module and changes nothing") {
  cpu64 backend{1, 1};
  CHECK(modx::laws::of_module(backend, identity{}, {.in = 4, .out = 4}).numbers > 20);
  auto m = modx::build(backend, identity{}, {.in = 2, .out = 2});
  CHECK(m.predict(rows({{1, -2}, {3, 4}})) == rows({{1, -2}, {3, 4}}));
  CHECK(m.parameters().empty());
  CHECK(identity{}.output({2, 3, 4}) == modx::extent(2, 3, 4));
}

TEST_CASE("module::identity needs as many columns out as in") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, identity{}, {.in = 4, .out = 3}); }),
                 "identity: expected 4 columns out, found 3"));
}
