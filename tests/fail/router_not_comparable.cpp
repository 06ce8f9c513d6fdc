// expect: modx: a Router spec must be copyable and comparable: add  bool operator==(const S&) const =
// default;
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>

struct nearest {
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const nearest&, modx::shape) {}
    modx::dense_routing<B> route(modx::var<B> x) const { return {{x}, {modx::ops::softmax_rows(x)}}; }
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = nearest{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
