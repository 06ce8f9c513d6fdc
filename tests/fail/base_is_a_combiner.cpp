// expect: modx: a Module needs  template <modx::Backend B> class bound  with  bound(modx::builder<B>&, const
// Spec&, modx::shape)
#include <modx/backend/cpu.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.base = modx::combiner::softmax{},
                                    .experts = modx::expert::linear{},
                                    .router = modx::router::softmax{},
                                    .combiner = modx::combiner::residual{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
