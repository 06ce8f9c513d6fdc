// expect: modx: this is no model, or a const one: build(backend, spec, shape) makes a model of a spec
#include <modx/backend/cpu.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/train.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::linear{};
  const auto x = backend.normal(8, 2);
  const std::vector<std::int32_t> label(8);
  modx::train_step(spec, modx::optimizer::sgd{}, modx::loss::cross_entropy{}, x, label);
}
