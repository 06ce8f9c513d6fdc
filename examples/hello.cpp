// Four small experts, two of them awake for each token, learn |x|.
// [hello]
#include <cstdio>
#include <modx/modx.hpp>

int main() {
  modx::cpu backend{1};
  auto x = backend.normal(512, 2);
  auto target = x;
  for (float& v : target.data) v = v < 0 ? -v : v;

  auto spec = modx::module::mixture{.experts = modx::expert::mlp{.hidden = 16},
                                    .router = modx::router::top_k{.k = 2},
                                    .n_experts = 4};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  auto adamw = modx::optimizer::adamw{.lr = 0.01};
  auto loss = modx::loss::mse{};

  for (int step = 0; step <= 400; ++step) {
    double value = modx::train_step(model, adamw, loss, x, target);
    if (step % 100 == 0) std::printf("%4d  %.5f\n", step, value);
  }
}
// [/hello]
