// expect: modx: the forward pass is called as  forward(bound, x)  with a modx::var<B> x, and returns a
// modx::var<B>
#include <modx/backend/cpu.hpp>
#include <modx/fit.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/sgd.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
  const modx::dataset<modx::cpu> data{{backend, backend.normal(8, 2), 2}, std::vector<std::int32_t>(8), {}};
  const auto rows = modx::all_rows(8);
  modx::evaluate(model, data, rows, data.label, [](auto x) { return x; });
}
