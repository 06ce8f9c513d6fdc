// An own combiner: trained on |x| with a base and three experts, then put through the law suite.
#include <cstdio>
#include <modx/laws.hpp>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// y = base + scale * sum_e w_e y_e,   w_e = p_e^2 / sum_i p_i^2: a sharper mixture than p itself.
struct sharpened {
  double scale = 1;
  bool operator==(const sharpened&) const = default;

  template <modx::Backend B>
  modx::var<B> combine(modx::var<B> base, const modx::outputs<B>& y, const modx::dense_routing<B>& r) const {
    const auto w = modx::ops::normalize_rows(modx::ops::square(r.weights));
    return base + scale * modx::ops::weighted_sum(w, y);
  }
};
// [/policy]

}  // namespace mine

int main() try {
  // [use]
  modx::cpu backend{1};
  const auto x = backend.normal(512, 2);
  auto target = x;
  for (float& v : target.data) v = v < 0 ? -v : v;

  const auto spec = modx::module::mixture{.base = modx::module::linear{}, .experts = modx::expert::linear{},
                                          .router = modx::router::softmax{}, .combiner = mine::sharpened{},
                                          .n_experts = 3};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  const modx::optimizer::adamw adamw{.lr = 0.02};
  for (int step = 0; step <= 400; ++step) {
    const double loss = modx::train_step(model, adamw, modx::loss::mse{}, x, target);
    if (step % 100 == 0) std::printf("%4d  %.4f\n", step, loss);
  }
  // [/use]
  // [laws]
  modx::basic_cpu<double> exact;
  const auto laws = modx::laws::of_combiner(exact, mine::sharpened{}, /*experts*/ 3, /*width*/ 2);
  std::printf("the laws hold: %zu numbers compared\n", laws.numbers);
  // [/laws]
} catch (const modx::error& e) {  // a law that is broken, say
  std::puts(e.what());
  return 1;
}
