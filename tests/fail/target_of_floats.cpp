// expect: modx: a target is a modx::matrix of the backend's scalar, or class labels: modx::ids or
// std::vector<std::int32_t>
#include <modx/backend/cpu.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/train.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
  const auto x = backend.normal(8, 2);
  const std::vector<float> target(8);
  modx::train_step(model, modx::optimizer::sgd{}, modx::loss::cross_entropy{}, x, target);
}
