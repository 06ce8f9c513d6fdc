// Whole training steps and forward passes: the MLP, the CNN of red_mnist, and a top-2 MoE layer.
#include <benchmark/benchmark.h>

#include <modx/modx.hpp>

namespace {

namespace m = modx::module;
using modx::cpu;

std::vector<std::int32_t> labels(std::size_t n) {
  std::vector<std::int32_t> y(n);
  for (std::size_t i = 0; i < n; ++i) y[i] = std::int32_t((7 * i) % 10);
  return y;
}

/// samples/s of train_step on a batch of 128.
template <class S, class O>
void train(benchmark::State& state, const S& spec, modx::shape io, const O& optimizer) {
  cpu backend(1, int(state.range(0)));
  auto model = modx::build(backend, spec, io);
  const auto x = backend.normal(128, io.in.size());
  const auto y = labels(128);
  for (int i = 0; i < 3; ++i) modx::train_step(model, optimizer, modx::loss::cross_entropy{}, x, y);
  for (auto _ : state) benchmark::DoNotOptimize(modx::train_step(model, optimizer, modx::loss::cross_entropy{}, x, y));
  state.SetItemsProcessed(state.iterations() * 128);
}

auto mlp() {
  return m::sequential(m::linear{.out = 256, .act = modx::activation::relu},
                       m::linear{.out = 256, .act = modx::activation::relu}, m::linear{});
}
auto cnn() {
  return m::sequential(m::conv2d{.channels = 32, .padding = 1, .relu = true, .pool = 2},
                       m::conv2d{.channels = 64, .padding = 1, .relu = true, .pool = 2}, m::flatten{},
                       m::linear{.out = 128, .act = modx::activation::relu}, m::linear{});
}
const modx::shape images{{28, 28, 1}, 10};

void mlp_sgd(benchmark::State& s) { train(s, mlp(), {784, 10}, modx::optimizer::sgd{}); }
void mlp_adamw(benchmark::State& s) { train(s, mlp(), {784, 10}, modx::optimizer::adamw{}); }
void cnn_sgd(benchmark::State& s) { train(s, cnn(), images, modx::optimizer::sgd{}); }
void cnn_adamw(benchmark::State& s) { train(s, cnn(), images, modx::optimizer::adamw{}); }

void cnn_forward(benchmark::State& state) {
  cpu backend(1, int(state.range(0)));
  auto model = modx::build(backend, cnn(), images);
  const auto x = backend.normal(128, 784);
  for (auto _ : state) benchmark::DoNotOptimize(model.predict(x).data.data());
  state.SetItemsProcessed(state.iterations() * 128);
}

/// d = 256, f = 1024, 8 ReLU experts, 2 awake, 1024 tokens.
auto moe() {
  return m::mixture{.experts = modx::expert::mlp{.hidden = 1024}, .router = modx::router::top_k{.k = 2},
                    .combiner = modx::combiner::softmax{}, .n_experts = 8};
}
void moe_forward_on(benchmark::State& state, bool bf16) {
  cpu backend(1, int(state.range(0)));
  backend.use_bf16(bf16);
  if (bf16) state.SetLabel(cpu::bf16_engine());
  auto model = modx::build(backend, moe(), {256, 256});
  const auto x = backend.normal(1024, 256);
  for (auto _ : state) benchmark::DoNotOptimize(model.predict(x).data.data());
  state.SetItemsProcessed(state.iterations() * 1024);
}
void moe_forward(benchmark::State& state) { moe_forward_on(state, false); }
void moe_forward_bf16(benchmark::State& state) { moe_forward_on(state, true); }
/// Gradients of sum(y) with respect to input and parameters; weights are packed anew each time, as after an update.
void moe_forward_backward(benchmark::State& state) {
  cpu backend(1, int(state.range(0)));
  auto model = modx::build(backend, moe(), {256, 256});
  const auto x = backend.normal(1024, 256);
  auto& t = model.tape_of_step();
  for (auto _ : state) {
    t.reset();
    for (auto* p : model.parameters()) {
      p->mutable_value();
      p->gradient_is_fresh = true;
    }
    const auto y = model.forward(t.input(x.data, x.rows, x.cols, true));
    t.backward(modx::ops::sum(y));
    benchmark::DoNotOptimize(model.find("experts.0.up.weight").gradient());
  }
  state.SetItemsProcessed(state.iterations() * 1024);
}

/// A language model: 4 blocks of width 256 (MLP 1024), 4 heads, 8,192 ids; 8 sequences of 128 tokens a step.
void lm_adamw(benchmark::State& state) {
  constexpr std::size_t vocabulary = 8192, length = 128, count = 8;
  cpu backend(1, int(state.range(0)));
  const auto spec = m::sequential(
      m::embedding{.vocabulary = vocabulary, .out = 256, .positions = length},
      m::repeat<m::transformer_block<>>{
          .inner = {.attention = {.heads = 4}, .f = {.hidden = 1024, .act = modx::activation::gelu}}, .count = 4},
      m::layer_norm{}, m::linear{.bias = false});
  auto model = modx::build(backend, spec, {1, vocabulary});
  const std::vector<std::size_t> lengths(count, length);
  modx::matrix<float> x(count * length, 1);
  std::vector<std::int32_t> next(x.rows);
  for (std::size_t i = 0; i < x.rows; ++i) {
    x.data[i] = float((i * 2654435761u >> 7) % vocabulary);
    next[i] = std::int32_t((i * 40503u + 11) % vocabulary);
  }
  const modx::optimizer::adamw optimizer{};
  for (int i = 0; i < 2; ++i) modx::train_step(model, optimizer, modx::loss::cross_entropy{}, x, next, {.sequences = lengths});
  for (auto _ : state)
    benchmark::DoNotOptimize(modx::train_step(model, optimizer, modx::loss::cross_entropy{}, x, next, {.sequences = lengths}));
  state.SetItemsProcessed(state.iterations() * std::int64_t(x.rows));
}

#define MODX_BENCHMARK(f) BENCHMARK(f)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->MeasureProcessCPUTime()
MODX_BENCHMARK(mlp_sgd);
MODX_BENCHMARK(mlp_adamw);
MODX_BENCHMARK(cnn_sgd);
MODX_BENCHMARK(cnn_adamw);
MODX_BENCHMARK(cnn_forward);
MODX_BENCHMARK(moe_forward);
MODX_BENCHMARK(moe_forward_bf16);
MODX_BENCHMARK(moe_forward_backward);
MODX_BENCHMARK(lm_adamw);

}  // namespace

BENCHMARK_MAIN();
