// expect: modx: data has size(), expect_rows(where, ids) and batch(tape, ids), as modx::dataset and
// modx::sequence_dataset have, on the model's backend
#include <modx/backend/cpu.hpp>
#include <modx/fit.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/sgd.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
  const auto data = backend.normal(8, 2);
  const auto rows = modx::all_rows(8);
  modx::evaluate(model, data, rows, rows, [](const auto& net, auto x) { return net.forward(x); });
}
