// module::swiglu: laws and a value by hand.
#include <modx/laws/module.hpp>
#include <modx/module/swiglu.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::swiglu;
static_assert(modx::Module<swiglu, cpu64> && modx::Module<swiglu, modx::cpu>);

TEST_CASE("module::swiglu obeys the laws of a module") {
  cpu64 backend{1, 2};
  for (const auto act : {modx::activation::silu, modx::activation::gelu})
    modx::laws::of_module(backend, swiglu{.hidden = 5, .act = act}, {.in = 4, .out = 3});
}

TEST_CASE("module::swiglu computes (act(x W_g) * x W_u) W_d") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, swiglu{.hidden = 2, .act = modx::activation::relu}, {.in = 1, .out = 1});
  m.find("gate_up.weight").set(rows({{1, -1, 3, 5}}));  // gates 1 and -1, then ups 3 and 5
  m.find("down.weight").set(rows({{1}, {10}}));
  CHECK(m.predict(rows({{2}, {-2}})) == rows({{12}, {-200}}));  // relu(2) 6;  relu(2) (-10) 10
}
