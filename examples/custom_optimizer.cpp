// An own optimiser made of two shipped ones, under an own schedule.
#include <cmath>
#include <cstdio>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// AdamW for matrices, plain SGD for rows (biases).
struct by_shape {
  modx::optimizer::adamw matrices{.lr = 0.02};
  modx::optimizer::sgd rows{.lr = 0.1};
  bool operator==(const by_shape&) const = default;
  template <class B>
  void update(std::span<modx::parameter<B>* const> list, double lr_scale, double gradient_scale) const {
    std::vector<modx::parameter<B>*> wide, flat;
    for (auto* p : list) (p->rows() > 1 ? wide : flat).push_back(p);
    matrices.update(std::span<modx::parameter<B>* const>(wide), lr_scale, gradient_scale);
    rows.update(std::span<modx::parameter<B>* const>(flat), lr_scale, gradient_scale);
  }
};
// [/policy]

// [schedule]
/// s(step) = 2^-floor(step / every).
struct halving {
  std::uint64_t every = 100;
  bool operator==(const halving&) const = default;
  double operator()(std::uint64_t step) const {
    const std::uint64_t times = step / every;
    return std::exp2(-double(times));
  }
};
// [/schedule]

}  // namespace mine

int main() {
  modx::cpu backend{1};
  const auto x = backend.normal(512, 2);
  auto target = x;
  for (float& v : target.data) v = v < 0 ? -v : v;
  // [use]
  auto model = modx::build(backend, modx::module::mlp{.hidden = 16}, {.in = 2, .out = 2});
  const modx::optimizer::scheduled optimizer{mine::by_shape{}, mine::halving{.every = 100}};
  for (int step = 0; step <= 400; ++step) {
    const double loss = modx::train_step(model, optimizer, modx::loss::mse{}, x, target);
    if (step % 100 == 0) std::printf("%4d  %.4f  learning rate x %.4f\n", step, loss, optimizer.schedule(step));
  }
  // [/use]
}
