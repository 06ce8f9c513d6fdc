// An outside program: prints modx's version, and the loss of a small mixture before and after some steps.
#include <cstdio>
#include <modx/modx.hpp>

int main() {
  modx::cpu backend{1};
  auto x = backend.normal(128, 2);
  auto target = x;
  for (float& v : target.data) v = v < 0 ? -v : v;

  auto spec = modx::module::mixture{
      .experts = modx::expert::mlp{.hidden = 16}, .router = modx::router::top_k{.k = 2}, .n_experts = 4};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  auto adamw = modx::optimizer::adamw{.lr = 0.02};
  auto loss = modx::loss::mse{};

  const double first = modx::train_step(model, adamw, loss, x, target);
  double last = first;
  for (int step = 1; step <= 100; ++step) last = modx::train_step(model, adamw, loss, x, target);
  std::printf("modx %s\nloss %.4f -> %.4f\n", MODX_VERSION, first, last);
}
