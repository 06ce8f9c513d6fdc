// expect: modx: build(backend, spec, shape) needs a modx::shape: {.in = columns in, .out = columns out}
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>
#include <modx/module/linear.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, 784);
}
