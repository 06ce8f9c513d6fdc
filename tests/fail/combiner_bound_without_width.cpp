// expect: modx: a Combiner with  template <modx::Backend B> class bound  needs  bound(modx::builder<B>&,
// const Spec&, std::size_t width)
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>
#include <modx/router/softmax.hpp>

struct scaled {
  bool operator==(const scaled&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const scaled&) {}
    modx::var<B> combine(const modx::outputs<B>& y, const modx::dense_routing<B>&) const {
      return modx::ops::sum_experts(y);
    }
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{
      .experts = modx::expert::linear{}, .router = modx::router::softmax{}, .combiner = scaled{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
}
