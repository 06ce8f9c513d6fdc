// expect: modx: a Loss needs  modx::var<B> operator()(modx::var<B> y, const Target& t) const  with Target =
// modx::labels or modx::var<B>
#include <modx/backend/cpu.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/train.hpp>

struct mean_error {
  template <modx::Backend B>
  double operator()(modx::var<B> y, const modx::var<B>& t) const {
    return modx::ops::mean(y - t).item();
  }
};

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
  const auto x = backend.normal(8, 2);
  modx::train_step(model, modx::optimizer::sgd{}, mean_error{}, x, x);
}
