// An own loss: a line through points with outliers, under squared error and under a loss that minds them less.
#include <cstdio>
#include <modx/laws.hpp>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// loss = mean of sqrt(1 + (y - t)^2) - 1: square near 0, a straight line far out.
struct pseudo_huber : modx::loss::term {
  bool operator==(const pseudo_huber&) const = default;
  template <modx::Backend B>
  modx::var<B> operator()(modx::var<B> y, const modx::var<B>& t) const {
    return modx::ops::mean(modx::ops::sqrt(1.0 + modx::ops::square(y - t))) - 1.0;
  }
};
// [/policy]

}  // namespace mine

template <class Loss>
void fit_line(const char* name, const Loss& loss) {
  modx::cpu backend{1};
  const auto x = backend.normal(500, 1);
  auto target = x;
  for (std::size_t i = 0; i < x.rows; ++i) target(i, 0) = 2 * x(i, 0) + (i % 10 == 0 ? 20.f : 0.f);
  auto model = modx::build(backend, modx::module::linear{}, {.in = 1, .out = 1});
  for (int step = 0; step < 1000; ++step)
    modx::train_step(model, modx::optimizer::adamw{.lr = 0.02, .weight_decay = 0}, loss, x, target);
  std::printf("%-14s y = %.3f x + %.3f\n", name, model.find("weight").host()(0, 0), model.find("bias").host()(0, 0));
}

int main() try {
  fit_line("squared error", modx::loss::mse{});
  fit_line("pseudo-Huber", mine::pseudo_huber{});

  modx::basic_cpu<double> exact;
  const auto laws = modx::laws::of_loss(exact, mine::pseudo_huber{}, /*width*/ 3);
  std::printf("the laws hold: %zu numbers compared\n", laws.numbers);
} catch (const modx::error& e) {
  std::puts(e.what());
  return 1;
}
