// coupling::none: the identity.
#include <modx/coupling/none.hpp>
#include <modx/laws/coupling.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::coupling::none;
static_assert(modx::CouplingGraph<none, cpu64> && modx::CouplingGraph<none, modx::cpu>);
static_assert(modx::Couples<none, cpu64, modx::slot_outputs<cpu64>>, "top-k mixtures go through it too");

TEST_CASE("coupling::none obeys the laws of couplings and is the identity") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 2, 5})
    for (const std::size_t m : {1, 3}) CHECK(modx::laws::of_coupling(backend, none{}, e, m, {.seed = e}).numbers > 10);
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  modx::tape<cpu64> t(backend);
  const auto y = t.input(rows({{1, 2, 3, 4}}));
  const auto z = none::bound<cpu64>(b, none{}, 2, 2).couple(modx::outputs<cpu64>{y, 2});
  CHECK(z.y.data() == y.data());
  CHECK(z.experts == 2);
  CHECK(list.empty());
}
