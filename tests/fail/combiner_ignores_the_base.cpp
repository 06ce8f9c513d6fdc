// expect: modx: the mixture has a base, and this Combiner ignores it: take  modx::var<B> base  first, or drop
// .base
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.base = modx::module::linear{},
                                    .experts = modx::expert::linear{},
                                    .router = modx::router::softmax{},
                                    .combiner = modx::combiner::softmax{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
