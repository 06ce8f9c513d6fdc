// expect: modx: an Optimizer needs  template <class B> void update(std::span<modx::parameter<B>* const> list,
// double lr_scale, double gradient_scale) const
#include <modx/backend/cpu.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/scheduled.hpp>
#include <modx/schedule/cosine.hpp>
#include <modx/train.hpp>

void use() {
  modx::cpu backend;
  auto model = modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
  const auto x = backend.normal(8, 2);
  const std::vector<std::int32_t> label(8);
  modx::train_step(model, modx::optimizer::scheduled{0.1, modx::schedule::cosine{}},
                   modx::loss::cross_entropy{}, x, label);
}
