// The floor: the same work in plain Eigen with its own OpenMP threads, which anybody would write first.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <cstdint>
#include <vector>

namespace {

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The MLP step of train_step.cpp, everything preallocated.
void eigen_mlp_sgd(benchmark::State& state) {
  Eigen::setNbThreads(int(state.range(0)));
  const int n = 128, size[] = {784, 256, 256, 10};
  matrix w[3], g[3], a[4], d[4];
  Eigen::RowVectorXf b[3], gb[3];
  a[0] = matrix::Random(n, size[0]);
  for (int l = 0; l < 3; ++l) {
    w[l] = matrix::Random(size[l], size[l + 1]) / 28.f;
    g[l] = w[l];
    b[l] = Eigen::RowVectorXf::Zero(size[l + 1]);
    gb[l] = b[l];
    a[l + 1].resize(n, size[l + 1]);
    d[l + 1].resize(n, size[l + 1]);
  }
  std::vector<std::int32_t> y(n);
  for (int i = 0; i < n; ++i) y[std::size_t(i)] = (7 * i) % 10;
  for (auto _ : state) {
    for (int l = 0; l < 3; ++l) {
      a[l + 1].noalias() = a[l] * w[l];
      a[l + 1].rowwise() += b[l];
      if (l < 2) a[l + 1] = a[l + 1].cwiseMax(0.f);
    }
    d[3] = (a[3].colwise() - a[3].rowwise().maxCoeff()).array().exp().matrix();
    for (int i = 0; i < n; ++i) {
      d[3].row(i) /= d[3].row(i).sum();
      d[3](i, y[std::size_t(i)]) -= 1.f;
    }
    d[3] /= float(n);
    for (int l = 2; l >= 0; --l) {
      g[l].noalias() = a[l].transpose() * d[l + 1];
      gb[l] = d[l + 1].colwise().sum();
      if (l > 0) {
        d[l].noalias() = d[l + 1] * w[l].transpose();
        d[l].array() *= (a[l].array() > 0.f).cast<float>();
      }
    }
    for (int l = 0; l < 3; ++l) {
      w[l] -= 0.01f * g[l];
      b[l] -= 0.01f * gb[l];
    }
    benchmark::ClobberMemory();
  }
  Eigen::setNbThreads(1);
  state.SetItemsProcessed(state.iterations() * n);
}

BENCHMARK(eigen_mlp_sgd)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();

/// m x k times k x n, `count` times in a loop with different operands.
void eigen_gemm(benchmark::State& state, int count, int m, int k, int n) {
  Eigen::setNbThreads(int(state.range(0)));
  std::vector<matrix> a(std::size_t(count), matrix::Random(m, k)), b(std::size_t(count), matrix::Random(k, n)),
      c(std::size_t(count), matrix(m, n));
  for (auto _ : state) {
    for (std::size_t i = 0; i < std::size_t(count); ++i) c[i].noalias() = a[i] * b[i];
    benchmark::ClobberMemory();
  }
  Eigen::setNbThreads(1);
  state.counters["FLOPS"] = benchmark::Counter(2.0 * count * m * k * n, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(eigen_gemm, 64x1024x1024, 1, 64, 1024, 1024)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK_CAPTURE(eigen_gemm, 512x1024x1024, 1, 512, 1024, 1024)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK_CAPTURE(eigen_gemm, 8x64x256x1024, 8, 64, 256, 1024)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
