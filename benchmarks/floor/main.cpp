// The floor: the work of train_step.cpp and products in plain Eigen with its own OpenMP threads.
// `floor --check` compares its results with modx's instead.
#include <benchmark/benchmark.h>

#include <string_view>

#include "cnn.hpp"
#include "mlp.hpp"
#include "moe.hpp"

namespace eigen_floor {

bool check();  // check.cpp

namespace {

template <class N, class O>
void train(benchmark::State& state, O optimizer) {
  Eigen::setNbThreads(int(state.range(0)));
  N net;
  net.x.setRandom();
  const auto y = labels(N::n);
  for (auto _ : state) {
    net.step(y, optimizer);
    benchmark::ClobberMemory();
  }
  Eigen::setNbThreads(1);
  state.SetItemsProcessed(state.iterations() * N::n);
}
void eigen_mlp_sgd(benchmark::State& state) { train<mlp>(state, sgd{}); }
void eigen_mlp_adamw(benchmark::State& state) { train<mlp>(state, adamw{}); }
void eigen_cnn_sgd(benchmark::State& state) { train<cnn>(state, sgd{}); }
void eigen_cnn_adamw(benchmark::State& state) { train<cnn>(state, adamw{}); }

template <class N>
void forward(benchmark::State& state, bool backward) {
  Eigen::setNbThreads(int(state.range(0)));
  N net;
  net.x.setRandom();
  for (auto _ : state) {
    net.forward();
    if constexpr (requires { net.dy; }) {
      if (backward) net.dy.setOnes(), net.backward();
    }
    benchmark::ClobberMemory();
  }
  Eigen::setNbThreads(1);
  state.SetItemsProcessed(state.iterations() * N::n);
}
void eigen_cnn_forward(benchmark::State& state) { forward<cnn>(state, false); }
void eigen_moe_forward(benchmark::State& state) { forward<moe>(state, false); }
void eigen_moe_forward_backward(benchmark::State& state) { forward<moe>(state, true); }

/// m x k times k x n, `count` times in a loop with different operands.
void eigen_gemm(benchmark::State& state, int count, int m, int k, int n) {
  Eigen::setNbThreads(int(state.range(0)));
  std::vector<matrix> a(std::size_t(count), matrix::Random(m, k)),
      b(std::size_t(count), matrix::Random(k, n)), c(std::size_t(count), matrix(m, n));
  for (auto _ : state) {
    for (std::size_t i = 0; i < std::size_t(count); ++i) c[i].noalias() = a[i] * b[i];
    benchmark::ClobberMemory();
  }
  Eigen::setNbThreads(1);
  state.counters["FLOPS"] =
      benchmark::Counter(2.0 * count * m * k * n, benchmark::Counter::kIsIterationInvariantRate);
}

#define MODX_FLOOR(f) BENCHMARK(f)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()
MODX_FLOOR(eigen_mlp_sgd);
MODX_FLOOR(eigen_mlp_adamw);
MODX_FLOOR(eigen_cnn_sgd);
MODX_FLOOR(eigen_cnn_adamw);
MODX_FLOOR(eigen_cnn_forward);
MODX_FLOOR(eigen_moe_forward);
MODX_FLOOR(eigen_moe_forward_backward);
BENCHMARK_CAPTURE(eigen_gemm, 64x1024x1024, 1, 64, 1024, 1024)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(eigen_gemm, 512x1024x1024, 1, 512, 1024, 1024)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK_CAPTURE(eigen_gemm, 8x64x256x1024, 8, 64, 256, 1024)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();

}  // namespace
}  // namespace eigen_floor

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--check") return eigen_floor::check() ? 0 : 1;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
