// expect: modx: coupling::ghost wraps a Coupling that knows how far each expert is there:
#include <modx/backend/cpu.hpp>
#include <modx/coupling/ghost.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

struct chain {
  bool operator==(const chain&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const chain&, std::size_t, std::size_t) {}
    modx::outputs<B> couple(const modx::outputs<B>& y) const { return y; }
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{},
                                    .router = modx::router::softmax{},
                                    .coupling = modx::coupling::ghost{.inner = chain{}}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
