// module::repeat: laws, each part its own parameters, a prefix and the rest.
#include <modx/laws/module.hpp>
#include <modx/module/mlp.hpp>
#include <modx/module/repeat.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::mlp;
using modx::module::repeat;
static_assert(modx::Module<repeat<mlp>, cpu64> && modx::Module<repeat<mlp>, modx::cpu>);

TEST_CASE("module::repeat obeys the laws of a module") {
  cpu64 backend{1, 2};
  for (const std::size_t count : {0, 1, 3})
    modx::laws::of_module(backend,
                          repeat<mlp>{.inner = {.hidden = 5, .act = modx::activation::tanh}, .count = count},
                          {.in = 4, .out = 4});
}

TEST_CASE("module::repeat: parts have parameters of their own and run in order, all or some") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, repeat<mlp>{.inner = {.hidden = 5}, .count = 3}, {.in = 4, .out = 4});
  CHECK(m.parameter_count() == 3 * (4 * 5 + 5 + 5 * 4 + 4));
  CHECK(!(m.find("0.up.weight").host() == m.find("1.up.weight").host()));
  auto& t = m.tape_of_step();
  t.reset();
  const auto x = t.input(modx::laws::draw(3, "x", 6, 4));
  const auto whole = m.forward(x).host();
  CHECK(m.bound().forward_between(m.bound().forward_between(x, 0, 1), 1, 3).host() == whole);
  CHECK(m.bound().part(2).forward(m.bound().part(1).forward(m.bound().part(0).forward(x))).host() == whole);
  CHECK(!(m.bound().forward_between(x, 0, 2).host() == whole));
  t.reset();
  CHECK(contains(message([&] { modx::build(backend, repeat<mlp>{}, {.in = 4, .out = 8}); }),
                 "repeat: expected 4 columns out"));
}
