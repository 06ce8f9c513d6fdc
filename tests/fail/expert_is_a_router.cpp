// expect: modx: Module::bound needs  modx::var<B> forward(modx::var<B> x) const
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::router::softmax{}, .router = modx::router::softmax{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
