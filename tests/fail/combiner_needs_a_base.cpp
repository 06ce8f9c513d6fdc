// expect: modx: this Combiner adds to a base, and the mixture has none: set  .base = ...
#include <modx/backend/cpu.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{},
                                    .router = modx::router::softmax{},
                                    .combiner = modx::combiner::residual{.scale = 0.1}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
