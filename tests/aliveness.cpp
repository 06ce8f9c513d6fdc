// Every mechanism is alive: switched off or changed, the output or the gradient changes; every parameter of every
// architecture gets a gradient and moves.
#include <modx/combiner/oracle.hpp>
#include <modx/combiner/residual_sum.hpp>
#include <modx/combiner/uniform.hpp>
#include <modx/expert/low_rank.hpp>
#include <modx/loss/load_balance.hpp>
#include <modx/loss/mse.hpp>
#include <modx/loss/router_z.hpp>
#include <modx/module/max_pool.hpp>
#include <modx/module/residual.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/router/mlp_softmax.hpp>
#include <modx/router/oracle.hpp>
#include <modx/router/uniform.hpp>
#include <modx/schedule/cosine.hpp>

#include "catch.hpp"
#include "support.hpp"
#include "zoo.hpp"

using namespace support;
using namespace modx;

namespace {

const shape io{.in = 4, .out = 3};
matrix<double> some_rows(std::size_t n = 8, std::size_t d = 4) {
  matrix<double> x(n, d);
  const random_stream random(1, "rows");
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = random.normal(i);
  return x;
}

/// Output of a freshly built model.
template <class S>
matrix<double> output(const S& spec, const shape& s = io) {
  cpu64 backend{1, 1};
  return build(backend, spec, s).predict(some_rows(8, s.in.size()));
}

/// All weights after `steps` steps on mse + extra losses.
template <class S, class O, class L = loss::mse>
std::vector<double> weights_after(const S& spec, const O& optimizer, const step_options& options = {}, int steps = 2,
                                  const L& loss = {}) {
  cpu64 backend{1, 1};
  auto m = build(backend, spec, io);
  const auto x = some_rows();
  matrix<double> target(8, 3);
  for (int i = 0; i < steps; ++i) train_step(m, optimizer, loss, x, target, options);
  std::vector<double> all;
  for (auto* p : m.parameters())
    for (const double w : p->host().data) all.push_back(w);
  return all;
}

const optimizer::sgd sgd{.lr = 0.1};

auto red() {
  return module::mixture{.base = module::linear{}, .experts = expert::linear{}, .router = router::softmax{},
                         .combiner = combiner::residual{.scale = 0.5}, .n_experts = 3};
}
auto moe(std::size_t k = 2) {
  return module::mixture{.experts = expert::mlp{.hidden = 5}, .router = router::top_k{.k = k}, .n_experts = 4};
}

/// A model's output under a perturbation of the routing.
template <class S>
matrix<double> disturbed(const S& spec, const routing_perturbation& p, std::uint64_t step = 0) {
  cpu64 backend{1, 1};
  auto m = build(backend, spec, io);
  tape<cpu64> t(backend);
  t.context.perturbation = &p, t.context.step = step;
  const std::vector<std::int32_t> domain = {0, 1, 2, 0, 1, 2, 0, 1};
  t.context.domain = t.input(ids(domain)), t.context.domain_count = 8;
  return m.forward(t.input(some_rows())).host();
}

/// train_step, three times: every element of every parameter has had a gradient and has moved.
template <class S, class L = loss::cross_entropy>
void all_move(const S& spec, const shape& s, const L& loss = {}) {
  cpu64 backend{2, 1};
  auto m = build(backend, spec, s);
  const zoo::batch<double> data(64, s, 1);
  std::vector<std::int32_t> domain(64);
  for (std::size_t i = 0; i < 64; ++i) domain[i] = std::int32_t(i % 3);
  std::vector<matrix<double>> start, seen;
  for (auto* p : m.parameters()) start.push_back(p->host()), seen.emplace_back(p->rows(), p->cols());
  for (int i = 0; i < 3; ++i) {
    train_step(m, sgd, loss, data.x, data.label, {.update = false, .domains = domain});
    for (std::size_t j = 0; j < seen.size(); ++j) {
      const auto* g = m.parameters()[j]->gradient();
      REQUIRE(g != nullptr);
      for (std::size_t k = 0; k < seen[j].data.size(); ++k) seen[j].data[k] += std::fabs(g[k]);
    }
    apply_gradients(backend, m.parameters(), sgd, 1, 0);
  }
  for (std::size_t j = 0; j < seen.size(); ++j) {
    const auto now = m.parameters()[j]->host();
    for (std::size_t k = 0; k < seen[j].data.size(); ++k) {
      INFO(m.parameters()[j]->name() << " " << k);
      REQUIRE(seen[j].data[k] > 0);
      REQUIRE(now.data[k] != start[j].data[k]);
    }
  }
}

}  // namespace

TEST_CASE("every parameter of every architecture gets a gradient and moves") {
  zoo::for_each([](const char* name, const auto& spec, const shape& s) {
    INFO(name);
    all_move(spec, s);
  });
  const shape s{.in = 6, .out = 4};
  const auto with = [](auto experts, auto routing, auto combining) {
    return module::mixture{.experts = experts, .router = routing, .combiner = combining, .n_experts = 3};
  };
  all_move(with(expert::linear{}, router::mlp_softmax{.hidden = 8, .act = activation::tanh}, combiner::softmax{}), s);
  all_move(with(expert::low_rank{.rank = 2, .act = activation::gelu}, router::softmax{}, combiner::softmax{}), s);
  all_move(with(expert::mlp{.hidden = 4, .act = activation::silu}, router::uniform{}, combiner::uniform{}), s);
  all_move(with(expert::linear{}, router::uniform{}, combiner::uniform{combiner::uniform::average::softmaxes}), s);
  all_move(with(expert::linear{}, router::uniform{}, combiner::oracle{}), s);
  all_move(with(expert::linear{}, router::oracle{}, combiner::softmax{}), s);
  all_move(with(expert::linear{}, router::top_k{.k = 1, .renormalize = false}, combiner::softmax{}), s);
  all_move(module::mixture{.base = module::linear{}, .experts = expert::linear{}, .router = router::uniform{},
                           .combiner = combiner::residual_sum{}, .n_experts = 3}, s);
  all_move(
      module::sequential(module::residual<module::mlp>{{.hidden = 5, .act = activation::gelu}}, module::linear{}), s);
}

TEST_CASE("base, router, experts and combiner scale change the output") {
  cpu64 backend{1, 1};
  auto m = build(backend, red(), io);
  const auto x = some_rows();
  const auto y = m.predict(x);
  for (const char* name : {"base.weight", "base.bias", "router.weight", "router.bias", "experts.0.weight",
                           "experts.1.bias", "experts.2.weight"}) {
    auto& p = m.find(name);
    const auto old = p.host();
    p.set(matrix<double>(p.rows(), p.cols()));
    INFO(name);
    CHECK_FALSE(near(m.predict(x), y, 1e-6));
    p.set(old);
  }
  CHECK(m.predict(x) == y);
  auto other = red();
  other.combiner.scale = 0.4;
  CHECK_FALSE(near(output(other), output(red()), 1e-6));
  other = red();
  other.router.temperature = 2;
  CHECK_FALSE(near(output(other), output(red()), 1e-6));
  CHECK_FALSE(near(output(moe(1)), output(moe(2)), 1e-6));
  auto own = moe(2);
  own.router.renormalize = false;
  CHECK_FALSE(near(output(own), output(moe(2)), 1e-6));
}

TEST_CASE("options of modules and experts change the output") {
  using module::conv2d;
  const auto differ = [](const auto& a, const auto& b, const shape& s = io) {
    const auto x = output(a, s), y = output(b, s);
    return x.cols != y.cols || !near(x, y, 1e-6);
  };
  for (const auto act : {activation::relu, activation::gelu, activation::silu, activation::tanh}) {
    CHECK(differ(module::linear{.act = act}, module::linear{}));
    CHECK(differ(module::mlp{.act = act}, module::mlp{.act = activation::none}));
    auto experts = moe();
    experts.experts.act = act;
    auto plain = moe();
    plain.experts.act = activation::none;
    CHECK(differ(experts, plain));
  }
  CHECK(differ(module::linear{.bias = false}, module::linear{}));
  CHECK(differ(module::mlp{.bias = false}, module::mlp{}));
  CHECK(differ(module::residual<module::linear>{}, module::linear{}, {.in = 3, .out = 3}));
  const shape image{.in = {6, 6, 1}, .out = 0};
  const auto conv = [](conv2d c) { return module::sequential(c, module::flatten{}); };
  CHECK(differ(conv({.relu = true}), conv({}), image));
  CHECK(differ(conv({.pool = 2}), conv({}), image));
  CHECK(differ(conv({.padding = 1}), conv({}), image));
  CHECK(differ(module::sequential(conv2d{}, module::max_pool{}, module::flatten{}), conv({}), image));
  const auto combined = [](auto c) {
    return module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .combiner = c, .n_experts = 3};
  };
  CHECK(differ(combined(combiner::uniform{}), combined(combiner::softmax{})));
  CHECK(differ(combined(combiner::uniform{combiner::uniform::average::softmaxes}), combined(combiner::uniform{})));
}

TEST_CASE("domain ids change the output of oracles") {
  const auto check = [](const auto& spec) {
    cpu64 backend{1, 1};
    auto m = build(backend, spec, io);
    tape<cpu64> t(backend);
    const auto at = [&](std::int32_t d) {
      const std::vector<std::int32_t> domain(8, d);
      t.reset();
      t.context.domain = t.input(ids(domain)), t.context.domain_count = 8;
      return m.forward(t.input(some_rows())).host();
    };
    for (std::int32_t d = 0; d < 3; ++d) {
      const auto y = at(d);
      CHECK(near(y, m.bound().expert(std::size_t(d), t.input(some_rows())).host()));
      CHECK_FALSE(near(y, at((d + 1) % 3), 1e-6));
    }
  };
  check(module::mixture{.experts = expert::linear{}, .router = router::oracle{}, .n_experts = 3});
  check(module::mixture{
      .experts = expert::linear{}, .router = router::uniform{}, .combiner = combiner::oracle{}, .n_experts = 3});
}

TEST_CASE("auxiliary losses change the router's gradient, and nothing else's") {
  const auto gradients = [](const auto& loss) {
    cpu64 backend{1, 1};
    auto m = build(backend, moe(), io);
    const zoo::batch<double> data(32, io, 1);
    train_step(m, sgd, loss, data.x, data.label, {.update = false});
    std::pair<std::vector<double>, std::vector<double>> out;  // the router's, the others'
    for (auto* p : m.parameters())
      for (std::size_t i = 0; i < p->size(); ++i)
        (p->name().starts_with("router.") ? out.first : out.second).push_back(p->gradient()[i]);
    return out;
  };
  const auto plain = gradients(loss::cross_entropy{});
  for (const auto& with : {gradients(loss::cross_entropy{} + loss::load_balance{0.1}),
                           gradients(loss::cross_entropy{} + loss::router_z{0.1})}) {
    CHECK(with.second == plain.second);
    for (std::size_t i = 0; i < plain.first.size(); ++i) CHECK_FALSE(near(with.first[i], plain.first[i], 1e-9));
  }
  CHECK(gradients(loss::cross_entropy{} + loss::load_balance{0.0}).first == plain.first);
}

TEST_CASE("options of optimisers change the weights") {
  const auto base = weights_after(red(), sgd);
  CHECK(weights_after(red(), sgd) == base);
  CHECK(weights_after(red(), optimizer::sgd{.lr = 0.2}) != base);
  CHECK(weights_after(red(), optimizer::sgd{.lr = 0.1, .momentum = 0.5}) != base);
  CHECK(weights_after(red(), optimizer::sgd{.lr = 0.1, .weight_decay = 0.1}) != base);
  const optimizer::adamw adamw{};
  const auto adam = weights_after(red(), adamw);
  CHECK(weights_after(red(), optimizer::adamw{.lr = 2e-3}) != adam);
  CHECK(weights_after(red(), optimizer::adamw{.weight_decay = 0.1}) != adam);
  CHECK(weights_after(red(), optimizer::adamw{.beta1 = 0.5}) != adam);
  CHECK(weights_after(red(), optimizer::adamw{.beta2 = 0.5}) != adam);
  CHECK(weights_after(red(), optimizer::adamw{.eps = 1e-2}) != adam);
}

TEST_CASE("clipping shortens the step to clip_norm and leaves a short one alone") {
  const auto start = weights_after(red(), sgd, {}, 0);
  const auto length = [&](double clip) {
    const auto w = weights_after(red(), sgd, {.clip_norm = clip}, 1);
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i) sum += (w[i] - start[i]) * (w[i] - start[i]);
    return std::sqrt(sum) / sgd.lr;
  };
  const double whole = length(0);
  CHECK(whole > 0.1);
  CHECK(near(length(0.01), 0.01, 1e-10));
  CHECK(near(length(0.1), 0.1, 1e-10));
  CHECK(near(length(2 * whole), whole, 1e-12));
  CHECK(weights_after(red(), sgd, {.clip_norm = 2 * whole}, 1) == weights_after(red(), sgd, {}, 1));
}

TEST_CASE("accumulation over micro-batches equals one large batch") {
  const auto check = [](const auto& spec) {
    const zoo::batch<double> data(24, io, 1);
    cpu64 backend{1, 1};
    auto whole = build(backend, spec, io), parts = build(backend, spec, io), late = build(backend, spec, io);
    const double loss = train_step(whole, sgd, loss::cross_entropy{}, data.x, data.label, {.clip_norm = 0.5});
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      matrix<double> x(8, 4);
      std::copy_n(data.x.data.begin() + std::ptrdiff_t(32 * i), 32, x.data.begin());
      const std::vector<std::int32_t> label(data.label.begin() + std::ptrdiff_t(8 * i),
                                            data.label.begin() + std::ptrdiff_t(8 * i + 8));
      sum += train_step(parts, sgd, loss::cross_entropy{}, x, label,
                        {.clip_norm = 0.5, .accumulation = 3, .update = i == 2});
      train_step(late, sgd, loss::cross_entropy{}, x, label, {.clip_norm = 0.5, .accumulation = 3, .update = false});
    }
    CHECK(near(sum / 3, loss));
    auto untouched = build(backend, spec, io);
    for (std::size_t i = 0; i < whole.parameters().size(); ++i) {
      CHECK(near(parts.parameters()[i]->host(), whole.parameters()[i]->host()));
      CHECK(late.parameters()[i]->host() == untouched.parameters()[i]->host());
    }
  };
  check(red());
  check(moe());
}

TEST_CASE("a schedule's value scales the learning rate") {
  const schedule::cosine s{.from = 1, .to = 0, .steps = 4};
  CHECK(weights_after(red(), sgd, {.lr_scale = s(2)}, 1) ==
        weights_after(red(), optimizer::sgd{.lr = 0.1 * s(2)}, {}, 1));
  CHECK(weights_after(red(), sgd, {.lr_scale = s(2)}, 1) != weights_after(red(), sgd, {.lr_scale = s(1)}, 1));
  const auto last = weights_after(red(), sgd, {.lr_scale = s(4)}, 1), start = weights_after(red(), sgd, {}, 0);
  for (std::size_t i = 0; i < last.size(); ++i) CHECK(near(last[i], start[i]));  // cos pi = -1: nothing moves
}

TEST_CASE("only what train_only names is trained") {
  cpu64 backend{1, 1};
  auto m = build(backend, red(), io);
  std::vector<matrix<double>> start;
  for (auto* p : m.parameters()) start.push_back(p->host());
  m.train_only({"router.*", "experts.1.*"});
  const zoo::batch<double> data(16, io, 1);
  train_step(m, optimizer::adamw{.weight_decay = 0.5}, loss::cross_entropy{}, data.x, data.label);
  for (std::size_t i = 0; i < start.size(); ++i) {
    const auto& name = m.parameters()[i]->name();
    const bool trained = name.starts_with("router.") || name.starts_with("experts.1.");
    INFO(name);
    CHECK((m.parameters()[i]->host() != start[i]) == trained);
    CHECK(m.parameters()[i]->has_moment(0) == trained);
  }
}

TEST_CASE("every perturbation of the routing changes the output, an inactive one nothing") {
  const auto check = [](const auto& spec, bool noise) {
    const auto y = disturbed(spec, {});
    CHECK_FALSE(routing_perturbation{}.active());
    if (noise) {
      CHECK_FALSE(near(disturbed(spec, {.sigma = 0.5}), y, 1e-6));
      CHECK_FALSE(near(disturbed(spec, {.sigma = 0.5}), disturbed(spec, {.sigma = 0.6}), 1e-6));
      CHECK(disturbed(spec, {.sigma = 0.5, .seed = 1}) == disturbed(spec, {.sigma = 0.5, .seed = 1}));
      CHECK_FALSE(near(disturbed(spec, {.sigma = 0.5, .seed = 1}), disturbed(spec, {.sigma = 0.5, .seed = 2}), 1e-6));
      CHECK_FALSE(near(disturbed(spec, {.sigma = 0.5}, 1), disturbed(spec, {.sigma = 0.5}, 2), 1e-6));
    }
    CHECK_FALSE(near(disturbed(spec, {.reroute = 1}), y, 1e-6));
    CHECK_FALSE(near(disturbed(spec, {.swap_top_two = true}), y, 1e-6));
  };
  check(red(), true);
  check(module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .n_experts = 3}, true);
  check(module::mixture{.experts = expert::linear{}, .router = router::oracle{}, .n_experts = 3}, false);
  const auto uniform = module::mixture{.experts = expert::linear{}, .router = router::uniform{}, .n_experts = 3};
  CHECK_FALSE(near(disturbed(uniform, {.sigma = 0.5}), disturbed(uniform, {}), 1e-6));
  CHECK(near(disturbed(uniform, {.swap_top_two = true}), disturbed(uniform, {})));  // equal weights
  CHECK(contains(message([] { disturbed(moe(), {.sigma = 0.5}); }),
                 "mixture under routing noise: expected a dense router, found top-k"));
  CHECK(disturbed(moe(), {}) == output(moe()));
}
