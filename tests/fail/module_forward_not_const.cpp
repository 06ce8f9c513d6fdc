// expect: modx: Module::bound needs  modx::var<B> forward(modx::var<B> x) const
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>

struct doubled {
  bool operator==(const doubled&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const doubled&, modx::shape) {}
    modx::var<B> forward(modx::var<B> x) { return x + x; }
  };
};

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, doubled{}, {.in = 2, .out = 2});
}
