// expect: modx: probabilities are made of a modx::var<B> whose rows sum to 1
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>

struct even {
  bool operator==(const even&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const even&, modx::shape) {}
    modx::dense_routing<B> route(modx::var<B> x) const { return {x, 0.5f}; }
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = even{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  model.predict(backend.normal(8, 2));
}
