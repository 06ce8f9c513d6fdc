// expect: modx: a Router needs  template <modx::Backend B> class bound  with  bound(modx::builder<B>&, const
// Spec&, modx::shape)  (out = number of experts)
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>

struct nearest {
  bool operator==(const nearest&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, std::size_t) {}
    modx::dense_routing<B> route(modx::var<B> x) const { return {{x}, {modx::ops::softmax_rows(x)}}; }
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = nearest{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
