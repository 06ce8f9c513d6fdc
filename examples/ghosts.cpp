// Dormant experts wake when a new kind of data appears: two experts learn one domain, then a second one
// comes.
#include <cmath>
#include <cstdio>
#include <modx/modx.hpp>

int main() try {
  modx::cpu backend{1};
  const auto spec = modx::module::mixture{
      .experts = modx::expert::mlp{.hidden = 3, .act = modx::activation::tanh},
      .router = modx::router::softmax{},
      .coupling = modx::coupling::ghost{.inner = modx::coupling::graph{}, .ghosts = 2, .window = 50},
      .n_experts = 2};
  auto model = modx::build(backend, spec, {.in = 3, .out = 1});
  const modx::coupling::ghost_rules rules{.on = 0.2, .off = 0.01};
  const modx::optimizer::adamw adamw{.lr = 0.01};
  const double variance = 0.5;

  for (int step = 0; step <= 1200; ++step) {
    auto x = backend.normal(128, 3);
    modx::matrix<float> target(128, 1);
    for (std::size_t i = 0; i < 128; ++i) {
      const bool second = step > 400 && i % 2;
      x(i, 2) = second ? 1.f : -1.f;  // which domain it is
      target(i, 0) = second ? std::sin(3 * x(i, 0)) * x(i, 1) : std::tanh(x(i, 0) + x(i, 1));
    }
    // [step]
    modx::prepare_ghosts(model, rules);
    const double loss = modx::train_step(model, adamw, modx::loss::mse{}, x, target);
    const auto report = modx::advance_ghosts(model, rules, loss / variance)[0];
    // [/step]
    if (report.change > 0) std::printf("%4d  ghost %d wakes\n", step, report.change - 1);
    if (step == 400 || step == 1200)
      std::printf("%4d  loss %.2f, levels %.0f %.0f\n", step, loss, report.level[0], report.level[1]);
  }
} catch (const modx::error& e) {
  std::puts(e.what());
  return 1;
}
