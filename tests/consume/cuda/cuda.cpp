// An outside program on the CUDA backend, compiled by the C++ compiler: two losses, or why there are none.
#include <cstdio>
#include <modx/backend/cuda.hpp>
#include <modx/modx.hpp>

int main() {
  try {
    modx::cuda backend{1};
    auto x = backend.normal(128, 2);
    auto target = x;
    for (float& v : target.data) v = v < 0 ? -v : v;
    auto model = modx::build(backend, modx::module::mlp{.hidden = 16}, {.in = 2, .out = 2});
    const auto adamw = modx::optimizer::adamw{.lr = 0.02};
    const double first = modx::train_step(model, adamw, modx::loss::mse{}, x, target);
    double last = first;
    for (int step = 1; step <= 100; ++step) last = modx::train_step(model, adamw, modx::loss::mse{}, x, target);
    std::printf("loss %.4f -> %.4f\n", first, last);
  } catch (const modx::error& e) {
    std::printf("%s\n", e.what());
  }
}
