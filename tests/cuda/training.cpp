// The same programs train on the CUDA backend: the losses of the CPU, and the same bits every time.
#include <modx/modx.hpp>

#include "cuda/parity.hpp"
#include "zoo.hpp"

using namespace modx;

namespace {

/// Losses of examples/hello.cpp's mixture.
template <class B>
std::vector<double> hello(B backend, int steps) {
  using T = typename B::scalar;
  auto x = backend.normal(512, 2);
  auto target = x;
  for (T& v : target.data) v = v < 0 ? -v : v;
  const auto spec =
      module::mixture{.experts = expert::mlp{.hidden = 16}, .router = router::top_k{.k = 2}, .n_experts = 4};
  auto model = build(backend, spec, {.in = 2, .out = 2});
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step)
    losses.push_back(train_step(model, optimizer::adamw{.lr = 0.01}, loss::mse{}, x, target));
  return losses;
}
double worst_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::fmax(worst, std::fabs(a[i] - b[i]) / std::fabs(a[i]));
  return worst;
}

template <class T>
struct outcome {
  std::vector<double> losses;
  std::vector<matrix<T>> weights;
  bool operator==(const outcome&) const = default;
};
template <class B, class S>
outcome<typename B::scalar> train(B backend, const S& spec, const shape& io) {
  using T = typename B::scalar;
  auto m = build(backend, spec, io);
  outcome<T> out;
  for (std::uint64_t step = 0; step < 8; ++step) {
    const zoo::batch<T> data(67, io, step % 2);
    const step_options options{.clip_norm = 1};
    out.losses.push_back(
        step % 3 ? train_step(m, optimizer::adamw{.lr = 0.01}, loss::cross_entropy{}, data.x, data.label, options)
                 : train_step(m, optimizer::sgd{.lr = 0.01, .momentum = 0.9}, loss::cross_entropy{}, data.x, data.label,
                              options));
  }
  for (auto* p : m.parameters()) out.weights.push_back(p->host());
  return out;
}

/// A stage with frozen parts, an evaluation under routing noise and a recomposition: what is predicted at the end.
template <class B>
matrix<double> stages(B backend) {
  auto x = backend.normal(90, 4);
  dataset<B> data{{backend, 90, 4}, {}, {}};
  for (std::size_t i = 0; i < 90; ++i) {
    data.label.push_back(std::int32_t(i % 3)), data.domain.push_back(std::int32_t(i % 2));
    x(i, i % 3) += 1;
  }
  data.x = device_matrix<B>(backend, x, 4);
  const auto red = module::mixture{.base = module::linear{},
                                   .experts = expert::low_rank{.rank = 2},
                                   .router = router::softmax{},
                                   .combiner = combiner::residual{.scale = 0.5},
                                   .n_experts = 2};
  auto model = build(backend, red, {.in = 4, .out = 3});
  const auto whole = [](const auto& net, auto in) { return net.forward(in); };
  const auto rows = all_rows(90);
  for (const char* trained : {"base.*", "experts.*", "router.*"}) {
    model.train_only({trained});
    fit_options options{.name = trained, .max_epochs = 3, .batch_size = 32};
    options.clip_norm = 1;
    fitter stage(model, optimizer::adamw{.lr = 0.02}, loss::cross_entropy{} + loss::load_balance{}, data,
                 {rows.begin(), rows.begin() + 60}, {rows.begin() + 60, rows.end()}, data.label, whole, options);
    while (!stage.done()) stage.run_epoch();
    stage.restore_best();
  }
  const routing_perturbation noise{.sigma = 0.5, .reroute = 0.3, .swap_top_two = true, .seed = 4};
  const auto e = evaluate(model, data, ids(rows), data.label, whole, &noise);
  auto larger = add_expert(remove_expert(model, 0), 1);
  put_expert(larger, 1, take_expert(model, 0));
  const auto hidden = map_rows(model, data, 3, whole);
  tape<B> t(backend);
  auto y = t.tensor(hidden.data(), 90, 3).host();
  const auto z = larger.predict(x);
  for (std::size_t i = 0; i < y.data.size(); ++i) y.data[i] += z.data[i] + e.loss + e.accuracy;
  return y;
}

}  // namespace

TEST_CASE("cuda: hello trains with the losses of the CPU", "[training]") {
  MODX_NEEDS_DEVICE();
  CHECK(worst_ratio(hello(cpu{1, 1}, 100), hello(cuda{1}, 100)) < 1e-5);
  CHECK(worst_ratio(hello(basic_cpu<double>{1, 1}, 100), hello(basic_cuda<double>{1}, 100)) < 1e-9);
}

TEST_CASE("cuda: every architecture trains as on the CPU", "[training]") {
  MODX_NEEDS_DEVICE();
  zoo::for_each([](const char* name, const auto& spec, const shape& io) {
    INFO(name);
    const auto a = train(basic_cpu<double>{1, 1}, spec, io), b = train(basic_cuda<double>{1}, spec, io);
    CHECK(worst_ratio(a.losses, b.losses) < 1e-9);
    for (std::size_t i = 0; i < a.weights.size(); ++i)
      CHECK(parity::difference(a.weights[i].data, b.weights[i].data) < 1e-8);
  });
}

TEST_CASE("cuda: domains of a step are the host's", "[training]") {
  MODX_NEEDS_DEVICE();
  const auto oracle = module::mixture{.experts = expert::linear{}, .router = router::oracle{}, .n_experts = 2};
  const auto train = [&](auto b) {
    auto m = build(b, oracle, {.in = 3, .out = 2});
    const auto x = b.normal(9, 3), target = b.normal(9, 2);
    const std::vector<std::int32_t> domain = {0, 1, 1, 0, 1, 0, 0, 0, 1};
    std::vector<double> losses;
    for (int i = 0; i < 3; ++i)
      losses.push_back(train_step(m, optimizer::sgd{.lr = 0.1}, loss::mse{}, x, target, {.domains = domain}));
    return losses;
  };
  CHECK(worst_ratio(train(basic_cpu<double>{1, 1}), train(basic_cuda<double>{1})) < 1e-9);
}

TEST_CASE("cuda: ghosts wake and train as on the CPU", "[training]") {
  MODX_NEEDS_DEVICE();
  const auto run = [](auto backend) {
    auto m = build(backend, zoo::talking(), zoo::rows_of_20);
    const coupling::ghost_rules rules{.on = 0.1, .off = 0.01, .ramp = 2};
    std::vector<double> seen;
    for (std::uint64_t step = 0; step < 10; ++step) {
      const zoo::batch<double> data(33, zoo::rows_of_20, step % 2);
      prepare_ghosts(m, rules);
      const double loss =
          train_step(m, optimizer::adamw{.lr = 0.01},
                     loss::cross_entropy{} + loss::orthogonality{} + loss::ghost_background{}, data.x, data.label);
      const auto report = advance_ghosts(m, rules, loss / std::log(6.0))[0];
      seen.insert(seen.end(), {loss, report.saturation, report.level[0], report.level[1]});
    }
    return seen;
  };
  const auto a = run(basic_cpu<double>{1, 1});
  CHECK(a[a.size() - 2] == 1);
  CHECK(parity::difference(a, run(basic_cuda<double>{1})) < 1e-9);
}

TEST_CASE("cuda: two runs give the same bits", "[training]") {
  MODX_NEEDS_DEVICE();
  zoo::for_each([](const char* name, const auto& spec, const shape& io) {
    INFO(name);
    CHECK(train(cuda{1}, spec, io) == train(cuda{1}, spec, io));
  });
}

TEST_CASE("cuda: a label out of range stops a step before anything has changed", "[training]") {
  MODX_NEEDS_DEVICE();
  cuda b{1};
  auto m = build(b, zoo::mlp(), zoo::rows_of_20);
  zoo::batch<float> data(9, zoo::rows_of_20, 1);
  const auto before = m.parameters()[0]->host();
  data.label[4] = 6;
  const auto said =
      support::message([&] { train_step(m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label); });
  CHECK(said == "modx: cross_entropy, label of token 4: expected 0 <= label < 6, found 6");
  CHECK(m.parameters()[0]->host() == before);
}

TEST_CASE("cuda: stages, routing noise and recomposition give what they give on the CPU", "[training]") {
  MODX_NEEDS_DEVICE();
  const auto a = stages(basic_cpu<double>{1, 1}), b = stages(basic_cuda<double>{1});
  CHECK(parity::difference(a.data, b.data) < 1e-8);
}
