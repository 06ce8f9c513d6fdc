// expect: modx: this Coupling couples every expert's output, but the router wakes k experts a token (top_k):
// route densely
#include <modx/backend/cpu.hpp>
#include <modx/coupling/hypergraph.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/top_k.hpp>

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{},
                                    .router = modx::router::top_k{.k = 2},
                                    .coupling = modx::coupling::hypergraph{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
