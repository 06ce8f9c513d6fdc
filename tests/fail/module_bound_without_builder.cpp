// expect: modx: a Module needs  template <modx::Backend B> class bound  with  bound(modx::builder<B>&, const
// Spec&, modx::shape)
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>

struct doubled {
  bool operator==(const doubled&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(const doubled&, modx::shape) {}
    modx::var<B> forward(modx::var<B> x) const { return x; }
  };
};

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, doubled{}, {.in = 2, .out = 2});
}
