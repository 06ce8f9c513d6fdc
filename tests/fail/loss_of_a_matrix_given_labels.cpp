// expect: modx: this Loss takes a modx::matrix of targets, and the target is class labels
#include <modx/backend/cpu.hpp>
#include <modx/loss/mse.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/train.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
  const auto x = backend.normal(8, 2);
  const std::vector<std::int32_t> label(8);
  modx::train_step(model, modx::optimizer::sgd{}, modx::loss::mse{}, x, label);
}
