// module::residual: y = x + inner(x).
#include <modx/laws/module.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mlp.hpp>
#include <modx/module/residual.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::linear, modx::module::mlp, modx::module::residual;
static_assert(modx::Module<residual<linear>, cpu64> && modx::Module<residual<residual<mlp>>, modx::cpu>);

TEST_CASE("module::residual obeys the laws of a module") {
  cpu64 backend{1, 1};
  CHECK(modx::laws::of_module(backend, residual<linear>{}, {.in = 4, .out = 4}).numbers > 40);
  CHECK(modx::laws::of_module(backend, residual<residual<mlp>>{{{.hidden = 5}}}, {.in = 3, .out = 3}).numbers > 40);
}

TEST_CASE("module::residual of a zero module is the identity; else it adds") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, residual<linear>{}, {.in = 2, .out = 2});
  const auto x = rows({{1, -2}, {0.25, 4}});
  m.find("weight").set(rows({{0, 0}, {0, 0}}));
  m.find("bias").set(rows({{0, 0}}));
  CHECK(m.predict(x) == x);
  m.find("bias").set(rows({{1, 2}}));
  CHECK(m.predict(x) == rows({{2, 0}, {1.25, 6}}));
}

TEST_CASE("module::residual keeps the extents of an image") {
  cpu64 backend{1, 1};
  const auto spec = residual<linear>{};
  CHECK(spec.output({2, 3, 1}) == modx::extent(2, 3, 1));
  auto m = modx::build(backend, spec, {.in = {2, 3, 1}, .out = {2, 3, 1}});
  modx::tape<cpu64> t(backend);
  CHECK(m.forward(t.input(std::vector<double>(6), 1, {2, 3, 1})).columns() == modx::extent(2, 3, 1));
}

TEST_CASE("module::residual needs as many columns out as in") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, residual<linear>{}, {.in = 4, .out = 3}); }),
                 "residual: expected 4 columns out (as many as come in), found 3"));
}
