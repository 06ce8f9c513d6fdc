// An own router and an own loss on its routing: trained on |x| without and with that loss, then put through the laws.
#include <cstdio>
#include <modx/laws.hpp>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// p = softmax over e of -|x - c_e|^2 = softmax of 2 x.c_e - |c_e|^2: tokens go to the nearest centre.   c: d x e.
struct nearest {
  bool operator==(const nearest&) const = default;
  template <modx::Backend B>
  struct bound {
    modx::parameter<B>* centres;
    bound(modx::builder<B>& b, const nearest&, modx::shape io)
        : centres(&b.make("centres", io.in, io.out, modx::init::normal(1))) {}
    modx::dense_routing<B> route(modx::var<B> x) const {
      const auto c = x.on().use(*centres), norms = double(c.rows()) * modx::ops::mean_of_rows(modx::ops::square(c));
      const auto z = modx::ops::add_row(2.0 * modx::ops::matmul(x, c), -norms);
      return {{z}, {modx::ops::softmax_rows(z)}};
    }
  };
};
// [/policy]

// [loss]
/// loss = -weight * 1/n sum_t sum_e p log p, p the last routing of the step: tokens make up their minds.
struct entropy : modx::loss::term {
  double weight = 0;
  explicit entropy(double w = 0) : weight(w) {}
  bool operator==(const entropy&) const = default;
  template <modx::Backend B, class Target>
  modx::var<B> operator()(modx::var<B> y, const Target&) const {
    const auto* r = modx::routings(y.on());
    if (!r) throw modx::error("mine::entropy", "a router in the forward pass", "none");
    return modx::ops::sum(r->all * modx::ops::log(r->all + 1e-12), -weight / double(r->all.rows()));
  }
};
// [/loss]

}  // namespace mine

int main() try {
  modx::cpu backend{1};
  const auto x = backend.normal(512, 2);
  auto target = x;
  for (float& v : target.data) v = v < 0 ? -v : v;
  const modx::optimizer::adamw adamw{.lr = 0.02};

  for (const double weight : {0.0, 0.05}) {
    // [use]
    const auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = mine::nearest{},
                                            .n_experts = 4};
    auto model = modx::build(backend, spec, {.in = 2, .out = 2});
    const auto loss = modx::loss::mse{} + mine::entropy{weight};
    for (int step = 0; step < 400; ++step) modx::train_step(model, adamw, loss, x, target);
    // [/use]
    auto& tape = model.tape_of_step();
    const auto y = model.forward(tape.input(x));
    std::printf("entropy weight %.2f: squared error %.4f, entropy %.4f\n", weight,
                modx::loss::mse{}(y, tape.input(target)).item(), mine::entropy{1}(y, 0).item());
  }

  modx::basic_cpu<double> exact;
  auto laws = modx::laws::of_router(exact, mine::nearest{}, /*width*/ 3, /*experts*/ 4);
  laws += modx::laws::of_loss(exact, mine::entropy{1}, /*width*/ 3);
  std::printf("the laws hold: %zu numbers compared\n", laws.numbers);
} catch (const modx::error& e) {
  std::puts(e.what());
  return 1;
}
