// expect: modx: add_expert needs a router with a bias for each expert
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/module/mixture.hpp>
#include <modx/recompose.hpp>
#include <modx/router/uniform.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = modx::router::uniform{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  auto larger = modx::add_expert(model, 4);
}
