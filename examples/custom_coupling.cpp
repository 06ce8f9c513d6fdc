// An own coupling: every expert hears the others through a learned matrix; beside it the same mixture without it.
#include <cstdio>
#include <modx/laws.hpp>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// z_i = y_i + sum_j C_ij relu(y_j) for each token, C: e x e, learned; it starts at 0, as no coupling at all.
struct overheard {
  bool operator==(const overheard&) const = default;
  template <modx::Backend B>
  struct bound {
    modx::parameter<B>* c;
    bound(modx::builder<B>& b, const overheard&, std::size_t experts, std::size_t /*width*/)
        : c(&b.make("c", experts, experts, modx::init::zeros())) {}
    modx::outputs<B> couple(const modx::outputs<B>& y) const {
      const modx::outputs<B> said{modx::ops::relu(y.y), y.experts};
      return {y.y + modx::ops::mix_experts(y.y.on().use(*c), said).y, y.experts};
    }
  };
};
// [/policy]

}  // namespace mine

/// Prints the mean squared error on |x|.
template <class Coupling>
void train(Coupling coupling) {
  modx::cpu backend{1};
  const auto x = backend.normal(512, 2);
  auto target = x;
  for (float& v : target.data) v = v < 0 ? -v : v;
  // [use]
  const auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = modx::router::uniform{},
                                          .coupling = coupling, .n_experts = 4};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  // [/use]
  const modx::optimizer::adamw adamw{.lr = 0.02};
  for (int step = 0; step <= 400; ++step) {
    const double loss = modx::train_step(model, adamw, modx::loss::mse{}, x, target);
    if (step % 200 == 0) std::printf("%4d  %.4f\n", step, loss);
  }
}

int main() try {
  std::puts("uncoupled");
  train(modx::coupling::none{});
  std::puts("coupled");
  train(mine::overheard{});

  modx::basic_cpu<double> exact;
  const auto laws = modx::laws::of_coupling(exact, mine::overheard{}, /*experts*/ 3, /*width*/ 2);
  std::printf("the laws hold: %zu numbers compared\n", laws.numbers);
} catch (const modx::error& e) {
  std::puts(e.what());
  return 1;
}
