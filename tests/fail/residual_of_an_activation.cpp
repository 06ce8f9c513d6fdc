// expect: modx: a Module needs  template <modx::Backend B> class bound  with  bound(modx::builder<B>&, const
// Spec&, modx::shape)
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>
#include <modx/module/residual.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::residual{modx::activation::relu}, {.in = 2, .out = 2});
}
