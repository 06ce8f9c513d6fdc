// expect: a sentence that never comes
#include <modx/backend/cpu.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/expert/linear.hpp>
#include <modx/loss/mse.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mixture.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/router/top_k.hpp>
#include <modx/train.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.base = modx::module::linear{},
                                    .experts = modx::expert::linear{},
                                    .router = modx::router::top_k{.k = 2},
                                    .combiner = modx::combiner::residual{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  const auto x = backend.normal(8, 2);
  modx::train_step(model, modx::optimizer::sgd{}, modx::loss::mse{}, x, x);
}
