// An own module around another one, trained on |x| inside a sequential, then put through the law suite.
#include <cstdio>
#include <modx/laws.hpp>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// y = inner(inner(x)): two layers with one set of parameters.   Needs in == out.
template <class Inner>
struct twice {
  Inner inner{};
  bool operator==(const twice&) const = default;
  modx::extent output(modx::extent in) const { return in; }
  template <modx::Backend B>
  struct bound {
    modx::bound_t<Inner, B> layer;
    bound(modx::builder<B>& b, const twice& s, modx::shape io) : layer(b, s.inner, io) {}
    modx::var<B> forward(modx::var<B> x) const { return layer.forward(layer.forward(x)); }
  };
};
// [/policy]

}  // namespace mine

int main() try {
  // [use]
  modx::cpu backend{1};
  const auto x = backend.normal(512, 2);
  auto target = x;
  for (float& v : target.data) v = v < 0 ? -v : v;

  const auto spec = modx::module::sequential(modx::module::linear{.out = 16, .act = modx::activation::relu},
                                             mine::twice{modx::module::linear{.act = modx::activation::tanh}},
                                             modx::module::linear{});
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  const modx::optimizer::adamw adamw{.lr = 0.01};
  for (int step = 0; step <= 400; ++step) {
    const double loss = modx::train_step(model, adamw, modx::loss::mse{}, x, target);
    if (step % 100 == 0) std::printf("%4d  %.4f\n", step, loss);
  }
  // [/use]

  modx::basic_cpu<double> exact;
  const auto laws = modx::laws::of_module(exact, mine::twice{modx::expert::mlp{.hidden = 5}}, {.in = 3, .out = 3});
  std::printf("the laws hold: %zu numbers compared\n", laws.numbers);
} catch (const modx::error& e) {
  std::puts(e.what());
  return 1;
}
