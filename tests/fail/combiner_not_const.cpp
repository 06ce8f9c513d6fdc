// expect: modx: a Combiner needs  modx::var<B> combine([modx::var<B> base,] const modx::outputs<B>& y, const
// modx::dense_routing<B>& r) const
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

struct first {
  bool operator==(const first&) const = default;

  template <modx::Backend B>
  modx::var<B> combine(const modx::outputs<B>& y, const modx::dense_routing<B>&) {
    return y[0];
  }
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{
      .experts = modx::expert::linear{}, .router = modx::router::softmax{}, .combiner = first{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
