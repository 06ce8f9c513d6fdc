// expect: modx: Router::bound needs  route(modx::var<B> x) const  returning modx::dense_routing<B> or
// modx::top_k_routing<B>
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>

struct nearest {
  bool operator==(const nearest&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const nearest&, modx::shape) {}
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = nearest{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
