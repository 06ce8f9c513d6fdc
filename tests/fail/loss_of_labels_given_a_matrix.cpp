// expect: modx: this Loss takes class labels (modx::ids or std::vector<std::int32_t>), and the target is a
// matrix
#include <modx/backend/cpu.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/train.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
  const auto x = backend.normal(8, 2);
  modx::train_step(model, modx::optimizer::sgd{}, modx::loss::cross_entropy{}, x, x);
}
