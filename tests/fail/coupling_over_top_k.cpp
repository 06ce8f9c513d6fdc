// expect: modx: this Coupling couples every expert's output, but the router wakes k experts a token (top_k):
// route densely
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/top_k.hpp>

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
  auto spec = modx::module::mixture{
      .experts = modx::expert::linear{}, .router = modx::router::top_k{.k = 2}, .coupling = chain{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
