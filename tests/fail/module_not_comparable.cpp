// expect: modx: a Module spec must be copyable and comparable: add  bool operator==(const S&) const =
// default;
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>

struct doubled {
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const doubled&, modx::shape) {}
    modx::var<B> forward(modx::var<B> x) const { return x; }
  };
};

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, doubled{}, {.in = 2, .out = 2});
}
