// Steps recorded as CUDA graphs: the bits of the same steps done plainly, and clear words where a step can't be recorded.
#include <modx/modx.hpp>
#include <modx/step_graphs.hpp>

#include "cuda/parity.hpp"
#include "zoo.hpp"

using namespace modx;
using support::contains;
using support::message;

namespace {

template <class T>
struct outcome {
  std::vector<double> losses;
  std::vector<matrix<T>> weights;
  std::size_t replays = 0;
};
template <class M>
auto weights_of(const M& m) {
  std::vector<matrix<typename M::scalar>> w;
  for (auto* p : m.parameters()) w.push_back(p->host());
  return w;
}
/// Twelve steps of two batch sizes: clipped, accumulated, frozen for a while; recorded or plain.
template <class T, class S>
outcome<T> train(bool recorded, const S& spec, const shape& io) {
  basic_cuda<T> b{1};
  b.set_product_engine(recorded ? product_engine::automatic : product_engine::streams);
  auto m = build(b, spec, io);
  step_graphs<basic_cuda<T>> graphs(b);
  outcome<T> out;
  const std::string first = m.parameters()[0]->name();
  for (std::uint64_t step = 0; step < 24; ++step) {
    if (step == 12) m.parameters()[0]->set_trainable(false);
    const zoo::batch<T> data(step % 5 == 4 ? 9 : 33, io, step % 3);
    step_options o{.lr_scale = 1 + 0.1 * double(step), .clip_norm = step % 2 ? 1.0 : 0.0};
    if (step >= 18) o.accumulation = 2, o.update = step % 2 == 1;
    const optimizer::adamw adamw{.lr = 0.01};
    out.losses.push_back(recorded ? train_step(graphs, m, adamw, loss::cross_entropy{}, data.x, data.label, o)
                                  : train_step(m, adamw, loss::cross_entropy{}, data.x, data.label, o));
  }
  out.weights = weights_of(m);
  out.replays = graphs.replays();
  return out;
}

using set = dataset<cuda>;
set points(cuda& b, std::size_t n) {
  auto x = b.normal(n, 4);
  std::vector<std::int32_t> label, domain;
  for (std::size_t i = 0; i < n; ++i) {
    label.push_back(std::int32_t(i % 3)), domain.push_back(std::int32_t(i % 2));
    x(i, i % 3) += 1;
  }
  return {device_matrix<cuda>(b, x, 4), label, domain};
}
/// A stage with partial batches and accumulated gradients; its weights and figures, as text.
template <class S>
std::pair<std::vector<matrix<float>>, std::string> stage(bool graphs, const S& spec, bool per_epoch = false,
                                                         std::size_t stop_at = 0) {
  cuda b{1};
  if (!graphs) b.set_product_engine(product_engine::streams);
  const auto data = points(b, 90);
  auto m = build(b, spec, {.in = 4, .out = 3});
  const auto rows = all_rows(90);
  fit_options o{.max_epochs = 5, .batch_size = 16, .virtual_batch_size = 32, .patience = 0, .graphs = graphs};
  o.clip_norm = 0.5, o.optimizer_per_epoch = per_epoch;
  const auto make = [&] {
    return fitter(m, optimizer::adamw{.lr = 0.02}, loss::cross_entropy{}, data, {rows.begin(), rows.begin() + 70},
                  {rows.begin() + 70, rows.end()}, data.label,
                  [](const auto& net, auto x) { return net.forward(x); }, o);
  };
  std::string figures;
  const auto run = [&](auto& f, std::size_t until) {
    while (f.epoch() < until) {
      const auto e = f.run_epoch();
      char line[160];
      std::snprintf(line, sizeof line, "%a %a %a %a\n", e.loss, e.accuracy, e.validation_loss, e.validation_accuracy);
      figures += line;
    }
  };
  if (stop_at) {
    fit_state<float> s;
    {
      auto f = make();
      run(f, stop_at);
      s = f.state();
    }
    auto f = make();
    f.restore(s);
    run(f, 5);
  } else {
    auto f = make();
    run(f, 5);
  }
  return {weights_of(m), figures};
}

}  // namespace

TEST_CASE("cuda graphs: replayed steps have the bits of plain ones", "[graphs]") {
  MODX_NEEDS_DEVICE();
  const auto check = []<class T>(T, const auto& spec, const shape& io) {
    const auto plain = train<T>(false, spec, io), graphs = train<T>(true, spec, io);
    CHECK(graphs.losses == plain.losses);
    CHECK(graphs.weights == plain.weights);
    CHECK(graphs.replays >= 10);
  };
  check(float{}, zoo::mlp(), zoo::rows_of_20);
  check(float{}, zoo::dense(), zoo::rows_of_20);
  check(float{}, zoo::conv(), zoo::images);
  check(double{}, zoo::dense(), zoo::rows_of_20);
}

TEST_CASE("cuda graphs: stages with and without them, and resumed, end with the same bits", "[graphs]") {
  MODX_NEEDS_DEVICE();
  const auto red = module::mixture{.base = module::linear{}, .experts = expert::low_rank{.rank = 2}, .router = router::softmax{},
                                   .combiner = combiner::residual{.scale = 0.5}, .n_experts = 2};
  const auto oracle = module::mixture{.experts = expert::linear{}, .router = router::oracle{}, .n_experts = 2};
  CHECK(stage(true, red) == stage(false, red));
  CHECK(stage(true, red, true) == stage(false, red, true));
  CHECK(stage(true, oracle) == stage(false, oracle));
  CHECK(stage(true, red, false, 2).first == stage(true, red).first);
}

TEST_CASE("cuda graphs: domains and matrices as targets are read anew by each replay", "[graphs]") {
  MODX_NEEDS_DEVICE();
  const auto oracle = module::mixture{.experts = expert::linear{}, .router = router::oracle{}, .n_experts = 2};
  const auto losses = [&](bool recorded) {
    cuda b{1};
    auto m = build(b, oracle, {.in = 3, .out = 2});
    step_graphs<cuda> graphs(b);
    std::vector<double> all;
    for (int i = 0; i < 6; ++i) {
      const auto x = b.normal(7, 3), y = b.normal(7, 2);
      std::vector<std::int32_t> domain(7, i % 2);
      const step_options o{.domains = domain};
      const optimizer::sgd sgd{.lr = 0.1, .momentum = 0.5};
      all.push_back(recorded ? train_step(graphs, m, sgd, loss::mse{}, x, y, o) : train_step(m, sgd, loss::mse{}, x, y, o));
    }
    CHECK(graphs.replays() == (recorded ? 5 : 0));
    return all;
  };
  CHECK(losses(true) == losses(false));
}

TEST_CASE("cuda graphs: memory that other work takes meanwhile is not theirs", "[graphs]") {
  MODX_NEEDS_DEVICE();
  const auto last = [](bool disturbed) {
    cuda b{1};
    auto m = build(b, zoo::dense(), zoo::rows_of_20);
    step_graphs<cuda> graphs(b);
    const zoo::batch<float> data(33, zoo::rows_of_20, 1);
    double value = 0;
    for (int i = 0; i < 6; ++i) {
      if (disturbed && i == 3) {  // scratch grows, and what was free is written to
        const parity::buffer<cuda, float> large(b, std::vector<float>(3 << 20, 1.f)), sum(b, {0.f});
        b.sum(3 << 20, 1, large.data(), sum.data());
        b.column_sums(4096, 700, 700, 1, large.data(), 0, large.data());
        CHECK(sum.host()[0] == float(3 << 20));
      }
      value = train_step(graphs, m, optimizer::adamw{.lr = 0.1}, loss::cross_entropy{}, data.x, data.label);
    }
    return value;
  };
  CHECK(last(true) == last(false));
}

TEST_CASE("cuda graphs: what can't be recorded says so, and nothing has changed", "[graphs]") {
  MODX_NEEDS_DEVICE();
  cuda b{1};
  const zoo::batch<float> data(9, zoo::rows_of_20, 1);
  const auto refused = [&](const auto& spec, const auto& loss, auto forward) {
    auto m = build(b, spec, zoo::rows_of_20);
    const auto before = weights_of(m);
    step_graphs<cuda> graphs(b);
    const auto* x = graphs.input(0, std::span<const float>(data.x.data));
    const auto* label = graphs.input(1, ids(data.label));
    const auto said = message([&] {
      graphs.run({9}, m.parameters(), [&](tape<cuda>& t) {
        const auto value = loss(forward(m, t.tensor(x, 9, 20)), labels{label, 9});
        t.backward(value);
        return value.data();
      });
    });
    CHECK(weights_of(m) == before);
    CHECK(train_step(m, optimizer::sgd{}, loss::cross_entropy{}, data.x, data.label) > 0);  // plainly it goes on
    return said;
  };
  const auto whole = [](auto& m, auto x) { return m.forward(x); };
  const std::string only = "modx: cuda, a recorded step: expected kernels and products only, found ";
  CHECK(contains(refused(zoo::sparse(), loss::cross_entropy{}, whole), only + "a download (top-k routing"));
  CHECK(contains(refused(zoo::dense(), loss::cross_entropy{} + loss::load_balance{}, whole), only + "a download"));
  CHECK(contains(refused(zoo::mlp(), loss::cross_entropy{}, [](auto& m, auto x) { return m.forward(x.on().input(x.host())); }),
                 only + "a download"));
  CHECK(contains(refused(zoo::mlp(), loss::cross_entropy{},
                         [](auto& m, auto x) { return m.forward(x) + double(x.on().context.step); }),
                 "modx: a recorded step: expected no random numbers (dropout, routing noise), found a look at context.step"));
  b.set_product_engine(product_engine::grouped);
  CHECK(contains(refused(zoo::dense(), loss::cross_entropy{}, whole),
                 "gemm in a recorded step: expected product_engine automatic or streams, found grouped"));
}

TEST_CASE("cuda graphs: a label out of range in a replay stops the step before anything has changed", "[graphs]") {
  MODX_NEEDS_DEVICE();
  cuda b{1};
  auto m = build(b, zoo::mlp(), zoo::rows_of_20);
  step_graphs<cuda> graphs(b);
  zoo::batch<float> data(9, zoo::rows_of_20, 1);
  const auto step = [&] { return train_step(graphs, m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label); };
  for (int i = 0; i < 3; ++i) step();
  const auto before = weights_of(m);
  const auto good = data.label;
  data.label[4] = 6;
  CHECK(message(step) == "modx: cross_entropy, label of token 4: expected 0 <= label < 6, found 6");
  CHECK(weights_of(m) == before);
  data.label = good;
  CHECK(step() > 0);
  data.x(2, 3) = std::numeric_limits<float>::infinity();
  CHECK(contains(message(step), "modx: train_step: expected a finite loss"));
}

TEST_CASE("graphs need a backend that records", "[graphs]") {
  cpu b{1, 1};
  auto m = build(b, module::linear{}, {.in = 4, .out = 3});
  dataset<cpu> data{{b, b.normal(6, 4), 4}, {0, 1, 2, 0, 1, 2}, {}};
  CHECK(message([&] {
          fitter(m, optimizer::sgd{}, loss::cross_entropy{}, data, all_rows(6), all_rows(6), data.label,
                 [](const auto& net, auto x) { return net.forward(x); }, fit_options{.name = "s", .graphs = true});
        }) == "modx: fit 's', graphs: expected a backend that records steps (modx::cuda) and rows of one shape, found others");
}
