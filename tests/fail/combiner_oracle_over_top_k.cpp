// expect: modx: this Combiner takes every expert's output and dense weights, but the router wakes k experts a
// token (top_k)
#include <modx/backend/cpu.hpp>
#include <modx/combiner/oracle.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/top_k.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{},
                                    .router = modx::router::top_k{.k = 2},
                                    .combiner = modx::combiner::oracle{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
