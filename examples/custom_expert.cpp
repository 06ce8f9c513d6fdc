// An own expert with own parameters: trained on |x|, then put through the law suite.
#include <cstdio>
#include <modx/laws.hpp>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// y = (x U) * sigmoid(x V), element by element.   U, V: in x out.
struct gated {
  bool operator==(const gated&) const = default;
  template <modx::Backend B>
  struct bound {
    modx::parameter<B>*u, *v;
    bound(modx::builder<B>& b, const gated&, modx::shape io)
        : u(&b.make("u", io.in, io.out, modx::init::fan_in(io.in))),
          v(&b.make("v", io.in, io.out, modx::init::fan_in(io.in))) {}
    modx::var<B> forward(modx::var<B> x) const {
      return modx::ops::linear(x, *u, nullptr) * modx::ops::sigmoid(modx::ops::linear(x, *v, nullptr));
    }
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

  const auto spec = modx::module::mixture{.experts = mine::gated{}, .router = modx::router::softmax{},
                                          .n_experts = 4};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  const modx::optimizer::adamw adamw{.lr = 0.02};
  for (int step = 0; step <= 400; ++step) {
    const double loss = modx::train_step(model, adamw, modx::loss::mse{}, x, target);
    if (step % 100 == 0) std::printf("%4d  %.4f\n", step, loss);
  }
  for (const auto* p : model.parameters()) std::printf("%s  %zu x %zu\n", p->name().c_str(), p->rows(), p->cols());
  // [/use]

  modx::basic_cpu<double> exact;
  const auto laws = modx::laws::of_expert(exact, mine::gated{}, {.in = 3, .out = 2}, /*experts*/ 3);
  std::printf("the laws hold: %zu numbers compared\n", laws.numbers);
} catch (const modx::error& e) {
  std::puts(e.what());
  return 1;
}
