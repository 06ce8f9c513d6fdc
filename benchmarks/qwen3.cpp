// Qwen3-0.6B's shape with random weights frozen in bfloat16: encoding, prefill and decoding, products in float or in bfloat16.
#include <benchmark/benchmark.h>

#include <modx/backend/cpu.hpp>
#include <modx/model/generate.hpp>
#include <modx/model/qwen3.hpp>

namespace {

using modx::cpu;

/// The model, made once: 1.2 GB.
modx::model<modx::qwen3, cpu>& shared(int threads, bool bf16) {
  static cpu backend(1, 1);
  static auto model = [] {
    const modx::qwen3 spec;
    auto m = modx::build(backend, spec, spec.io(), modx::to_be_loaded);
    std::uint32_t state = 1;
    for (auto* p : m.parameters()) {
      if (p->rows() == 1) {
        p->set(std::vector<float>(p->size(), 1.0f));
        continue;
      }
      const bool table = p->name() == "embedding.weight";
      auto* panels = p->freeze_bf16(table);
      const std::size_t n = cpu::bf16_size(table ? p->cols() : p->rows(), table ? p->rows() : p->cols());
      for (std::size_t i = 0; i < n; ++i) {  // +-[1, 2) / 64: bits of a uniform mantissa and sign
        state = state * 1664525u + 1013904223u;
        panels[i] = std::uint16_t((state >> 16 & 0x807fu) | 0x3c80u);
      }
    }
    return m;
  }();
  if (backend.threads() != threads) backend.set_threads(threads);
  backend.use_bf16(bf16);
  return model;
}
modx::matrix<float> ids(std::size_t n) {
  modx::matrix<float> x(n, 1);
  for (std::size_t i = 0; i < n; ++i) x.data[i] = float(i * 40503u % 151936u);
  return x;
}

void label(benchmark::State& state, bool bf16) {
  if (bf16) state.SetLabel(cpu::bf16_engine());
}
void hidden(benchmark::State& state, bool bf16, std::size_t texts, std::size_t length, bool head) {
  auto& m = shared(int(state.range(0)), bf16);
  const std::vector<std::size_t> lengths(texts, length);
  const auto x = ids(texts * length);
  auto& t = m.tape_of_step();
  const modx::unrecorded quiet(t);
  for (auto _ : state) {
    t.reset();
    t.context.sequence = t.sequences_of(lengths);
    auto h = m.bound().hidden_between(m.bound().embed(t.input(x)), 0, m.bound().blocks() + 1);
    if (head) h = m.bound().logits(modx::ops::sequence_lasts(h));
    benchmark::DoNotOptimize(h.data());
  }
  t.reset();
  state.SetItemsProcessed(state.iterations() * std::int64_t(texts * length));
  label(state, bf16);
}
template <bool bf16>
void encode(benchmark::State& s) {
  hidden(s, bf16, 16, 32, false);
}
template <bool bf16>
void prefill(benchmark::State& s) {
  hidden(s, bf16, 1, 512, true);
}
template <bool bf16>
void decode(benchmark::State& state) {
  auto& m = shared(int(state.range(0)), bf16);
  const std::vector<std::vector<std::int32_t>> prompt = {{7}};
  for (auto _ : state) benchmark::DoNotOptimize(modx::generate(m, prompt, {.max_tokens = 64}).data());
  state.SetItemsProcessed(state.iterations() * 64);
  std::size_t bytes = 0;
  for (auto* p : m.parameters()) bytes += p->size() * (p->bf16() ? 2 : 4);
  state.counters["bytes/s"] = benchmark::Counter(double(state.iterations()) * 64 * double(bytes), benchmark::Counter::kIsRate);
  label(state, bf16);
}

#define MODX_BENCHMARK(name, f) \
  BENCHMARK(f)->Name(name)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->MeasureProcessCPUTime()
MODX_BENCHMARK("qwen3_encode", encode<false>);
MODX_BENCHMARK("qwen3_prefill", prefill<false>);
MODX_BENCHMARK("qwen3_decode", decode<false>);
MODX_BENCHMARK("qwen3_encode_bf16", encode<true>);
MODX_BENCHMARK("qwen3_prefill_bf16", prefill<true>);
MODX_BENCHMARK("qwen3_decode_bf16", decode<true>);

}  // namespace

BENCHMARK_MAIN();
