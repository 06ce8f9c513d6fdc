// expect: modx: an Expert's  template <modx::Backend B> class bank  needs
#include <modx/backend/cpu.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

struct half {
  bool operator==(const half&) const = default;

  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const half&, modx::shape) {}
    modx::var<B> forward(modx::var<B> x) const { return x; }
  };
  template <modx::Backend B>
  struct bank {
    bank(modx::builder<B>&, const half&, modx::shape, std::size_t) {}
    modx::var<B> forward(modx::expert::tokens<B> in) const { return in.x; }
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = half{}, .router = modx::router::softmax{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
