// expect: modx: this is no Backend: modx::cpu is one (a Backend says  using scalar = float; or double)
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>
#include <modx/module/linear.hpp>

void use() {
  modx::cpu backend;
  modx::build(modx::module::linear{}, backend, {.in = 2, .out = 2});
}
