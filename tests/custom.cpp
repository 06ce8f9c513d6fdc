// A user's own module, expert, router, combiner, coupling and loss, in a namespace of their own, through the suites
// and through training.
#include <modx/expert/linear.hpp>
#include <modx/laws.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/router/uniform.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace user {

/// y = (x U) * sigmoid(x V).
struct gated {
  bool operator==(const gated&) const = default;

  template <modx::Backend B>
  class bound {
    modx::parameter<B>*u_, *v_;

   public:
    bound(modx::builder<B>& b, const gated&, modx::shape io)
        : u_(&b.make("u", io.in, io.out, modx::init::fan_in(io.in))),
          v_(&b.make("v", io.in, io.out, modx::init::fan_in(io.in))) {}
    modx::var<B> forward(modx::var<B> x) const {
      return modx::ops::linear(x, *u_, nullptr) * modx::ops::sigmoid(modx::ops::linear(x, *v_, nullptr));
    }
  };
};

/// p_e proportional to exp(-|x - c_e|^2): tokens go to the nearest centre.
struct nearest {
  bool operator==(const nearest&) const = default;

  template <modx::Backend B>
  class bound {
    modx::parameter<B>*centres_, *sharpness_;

   public:
    bound(modx::builder<B>& b, const nearest&, modx::shape io)
        : centres_(&b.make("centres", io.in, io.out, modx::init::normal(1))),
          sharpness_(&b.make("sharpness", 1, io.out, modx::init::zeros())) {}
    modx::dense_routing<B> route(modx::var<B> x) const {
      auto& t = x.on();
      const auto c = t.use(*centres_);
      const auto norms = t.constant(1, c.rows(), 1);  // |c_e|^2 = 1^T c^2
      const auto distance =
          modx::ops::add_row(-2.0 * modx::ops::matmul(x, c), modx::ops::matmul(norms, modx::ops::square(c)));
      const auto z = modx::ops::add_row(-distance, t.use(*sharpness_));
      return {{z}, {modx::ops::softmax_rows(z)}};
    }
  };
};

struct sharpened {  // y = base + s * sum p_e^2 y_e / sum p_e^2
  double scale = 0.1;
  bool operator==(const sharpened&) const = default;

  template <modx::Backend B>
  auto combine(modx::var<B> base, const modx::outputs<B>& y, const modx::dense_routing<B>& r) const {
    return base + scale * modx::ops::weighted_sum(modx::ops::normalize_rows(modx::ops::square(r.weights)), y);
  }
};

/// z_e = y_e + a * mean over experts of y: every expert hears the others.
struct mean_field {
  bool operator==(const mean_field&) const = default;

  template <modx::Backend B>
  class bound {
    modx::parameter<B>* strength_;

   public:
    bound(modx::builder<B>& b, const mean_field&, std::size_t, std::size_t width)
        : strength_(&b.make("strength", 1, width, modx::init::constant(0.5))) {}
    modx::outputs<B> couple(const modx::outputs<B>& y) const {
      auto& t = y.y.on();
      const auto ones = t.constant(y.tokens(), 1, 1);
      const auto mean = 1 / double(y.experts) * modx::ops::sum_experts(y);
      const auto heard = mean * modx::ops::matmul(ones, t.use(*strength_));
      std::vector<modx::var<B>> parts;
      for (std::size_t e = 0; e < y.experts; ++e) parts.push_back(y[e] + heard);
      return modx::ops::stack(std::span<const modx::var<B>>(parts));
    }
  };
};

/// mean log cosh (y - t), and a little of the mean square of y.
struct log_cosh : modx::loss::term {
  double decay = 0.01;
  bool operator==(const log_cosh&) const = default;

  template <modx::Backend B>
  modx::var<B> operator()(modx::var<B> y, const modx::var<B>& t) const {
    const auto d = y - t;
    const auto cosh = 0.5 * (modx::ops::exp(d) + modx::ops::exp(-d));
    return modx::ops::mean(modx::ops::log(cosh)) + decay * modx::ops::mean(modx::ops::square(y));
  }
};

}  // namespace user

using namespace support;
using namespace modx;
static_assert(Module<user::gated, cpu64> && Expert<user::gated, cpu64> && !HasBank<user::gated, cpu64>);
static_assert(Router<user::nearest, cpu64> && CouplingGraph<user::mean_field, cpu64>);
static_assert(Combiner<user::sharpened, cpu64, outputs<cpu64>, dense_routing<cpu64>>);
static_assert(Loss<user::log_cosh, cpu64, var<cpu64>>);

TEST_CASE("a user's policies pass the law suites") {
  cpu64 backend{1, 1};
  CHECK(laws::of_module(backend, user::gated{}, {.in = 3, .out = 2}).numbers > 30);
  CHECK(laws::of_expert(backend, user::gated{}, {.in = 3, .out = 2}, 3).numbers > 100);
  CHECK(laws::of_router(backend, user::nearest{}, 3, 4).numbers > 30);
  CHECK(laws::of_combiner(backend, user::sharpened{0.7}, 3, 2).numbers > 50);
  CHECK(laws::of_coupling(backend, user::mean_field{}, 3, 2).numbers > 30);
  CHECK(laws::of_loss(backend, user::log_cosh{}, 3).numbers > 10);
}

TEST_CASE("a mixture of a user's policies obeys the laws of mixtures") {
  cpu64 backend{1, 1};
  const auto spec = module::mixture{.base = user::gated{}, .experts = user::gated{}, .router = user::nearest{},
                                    .combiner = user::sharpened{}, .coupling = user::mean_field{}, .n_experts = 3};
  CHECK(laws::of_mixture(backend, spec, {.in = 3, .out = 2}).numbers > 100);
  CHECK(laws::zero_scale(backend, spec, {.in = 3, .out = 2}).numbers == 10);
  CHECK(laws::of_mixture(backend,
                         module::mixture{.experts = user::gated{}, .router = router::top_k{.k = 1}, .n_experts = 3},
                         {.in = 3, .out = 2})
            .numbers > 100);
  CHECK(laws::permuted_experts(backend,
                               module::mixture{.experts = user::gated{}, .router = router::uniform{}, .n_experts = 3},
                               {.in = 3, .out = 2})
            .numbers == 10);
}

TEST_CASE("a mixture of a user's policies learns with a user's loss") {
  cpu64 backend{1, 1};
  const auto spec = module::mixture{.base = user::gated{}, .experts = user::gated{}, .router = user::nearest{},
                                    .combiner = user::sharpened{1}, .coupling = user::mean_field{}, .n_experts = 3};
  auto m = build(backend, spec, {.in = 2, .out = 2});
  const auto x = backend.normal(64, 2);
  auto target = x;
  for (double& v : target.data) v = std::fabs(v);
  std::vector<matrix<double>> start;
  for (auto* p : m.parameters()) start.push_back(p->host());
  const optimizer::adamw adamw{.lr = 0.02};
  const double first = train_step(m, adamw, user::log_cosh{}, x, target);
  double last = first;
  for (int i = 0; i < 200; ++i) last = train_step(m, adamw, user::log_cosh{}, x, target);
  CHECK(last < 0.5 * first);
  for (std::size_t i = 0; i < start.size(); ++i) {
    const auto now = m.parameters()[i]->host();
    for (std::size_t j = 0; j < now.data.size(); ++j) CHECK(now.data[j] != start[i].data[j]);
  }
}
