// GEMM and convolution kernels in GFLOP/s and in % of the FMA peak measured beside each, with plain Eigen as
// the floor. Needs the CPU's instructions (-O3 -march=native); with -fopenmp Eigen is measured on two threads
// too.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "modx/backend/cpu/conv.hpp"
#include "modx/backend/cpu/gemm.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

using namespace modx::kernels;
using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point start) {
  return std::chrono::duration<double>(clock_type::now() - start).count();
}

/// Floats on a 64-byte boundary, filled with numbers in [-1, 1).
class buffer {
 public:
  explicit buffer(std::size_t n)
      : data_(static_cast<float*>(::operator new((n + 16) * sizeof(float), align))) {
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < n; ++i) {
      state = state * 1664525u + 1013904223u;
      data_[i] = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
    }
  }
  buffer(buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  ~buffer() { ::operator delete(data_, align); }
  float* get() const { return data_; }

 private:
  static constexpr std::align_val_t align{64};
  float* data_;
};

/// Multiply-adds in registers only, in GFLOP/s, summed over the pool's threads; the best of a few short runs.
double fma_peak(thread_pool& pool) {
  constexpr std::size_t sums = 12, rounds = 200000;
  const auto threads = static_cast<std::size_t>(pool.size());
  double best = 0;
  for (int run = 0; run < 4; ++run) {
    std::vector<double> rate(threads);
    std::atomic<std::size_t> waiting{0};
    pool.run(threads, [&](std::size_t t) {
      ++waiting;
      while (waiting < threads) {
      }
      vec<float> v = vec<float>{} + 0.999f, sum[sums];
      for (auto& s : sum) {
        s = vec<float>{} + 0.001f;
        asm volatile("" : "+x"(s));
      }
      asm volatile("" : "+x"(v));
      const auto start = clock_type::now();
      for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
        for (auto& s : sum) s = multiply_add(0.5f, v, s);
        asm volatile("" : "+x"(v));
      }
      rate[t] = static_cast<double>(rounds * sums * 2 * lanes<float>) / seconds_since(start) * 1e-9;
      for (auto& s : sum) asm volatile("" : : "x"(s));
    });
    double total = 0;
    for (double r : rate) total += r;
    best = std::max(best, total);
  }
  return best;
}

/// Runs f until the benchmark has enough, between two looks at the peak.
template <class F>
void measure(benchmark::State& state, thread_pool& pool, double flops, F f) {
  f();
  double peak = fma_peak(pool);
  double best = 1e300;
  const auto all = clock_type::now();
  for (auto _ : state) {
    const auto start = clock_type::now();
    f();
    best = std::min(best, seconds_since(start));
  }
  const double mean = seconds_since(all) / static_cast<double>(state.iterations());
  peak = std::max(peak, fma_peak(pool));
  state.counters["GFLOP/s"] = flops / mean * 1e-9;
  state.counters["best"] = flops / best * 1e-9;
  state.counters["%peak"] = 100 * flops / mean * 1e-9 / peak;
  state.counters["%best"] = 100 * flops / best * 1e-9 / peak;
  state.counters["peak"] = peak;
}

struct shape {
  const char* name;
  std::size_t m, k, n;
  bool a_transposed = false, b_transposed = false;
  std::size_t groups = 1;
};

constexpr shape shapes[] = {
    {"64x1024x1024", 64, 1024, 1024},
    {"512x1024x1024", 512, 1024, 1024},
    {"512x1024x3072", 512, 1024, 3072},
    {"8x(64x256x1024)", 64, 256, 1024, false, false, 8},
    {"8x(64x1024x256)", 64, 1024, 256, false, false, 8},
    {"128x784x256", 128, 784, 256},
    {"128x256x256", 128, 256, 256},
    {"dW_784x128x256", 784, 128, 256, true},
    {"dW_256x128x256", 256, 128, 256, true},
    {"dX_128x256x256", 128, 256, 256, false, true},
    {"128x256x10", 128, 256, 10},
    {"1024x256x1024", 1024, 256, 1024},
    {"1024x1024x256", 1024, 1024, 256},
    {"dW_256x1024x1024", 256, 1024, 1024, true},
    {"dW_1024x1024x256", 1024, 1024, 256, true},
    {"1024x256x8192", 1024, 256, 8192},
    {"dW_256x1024x8192", 256, 1024, 8192, true},
    {"dX_1024x8192x256", 1024, 8192, 256, false, true},
};

struct operands {
  buffer a, b, c, packed;
  explicit operands(const shape& s)
      : a(s.m * s.k), b(s.k * s.n), c(s.m * s.n), packed(packed_size<float>(s.k, s.n)) {}
};

view<float> view_of(const float* data, std::size_t rows, std::size_t cols, bool transposed) {
  return transposed ? view<float>{data, 1, static_cast<std::ptrdiff_t>(rows)}
                    : view<float>{data, static_cast<std::ptrdiff_t>(cols), 1};
}

double flops_of(const shape& s) { return 2.0 * static_cast<double>(s.m * s.k * s.n * s.groups); }

void multiply_packed(benchmark::State& state, const shape& s, bool pack_too) {
  thread_pool pool(static_cast<int>(state.range(0)));
  std::vector<operands> data;
  std::vector<product<float>> calls;
  for (std::size_t g = 0; g < s.groups; ++g) {
    const operands& o = data.emplace_back(s);
    pack(pool, s.k, s.n, view_of(o.b.get(), s.k, s.n, s.b_transposed), o.packed.get());
    calls.push_back(
        {s.m, s.n, s.k, view_of(o.a.get(), s.m, s.k, s.a_transposed), o.packed.get(), 0.f, o.c.get(), s.n});
  }
  measure(state, pool, flops_of(s), [&] {
    for (std::size_t g = 0; pack_too && g < s.groups; ++g) {
      pack(pool, s.k, s.n, view_of(data[g].b.get(), s.k, s.n, s.b_transposed), data[g].packed.get());
    }
    multiply<float>(pool, calls);
  });
}

void multiply_eigen(benchmark::State& state, const shape& s) {
  using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using transposed = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic>;
  thread_pool pool(static_cast<int>(state.range(0)));
  Eigen::setNbThreads(static_cast<int>(state.range(0)));
  std::vector<operands> data;
  for (std::size_t g = 0; g < s.groups; ++g) data.emplace_back(s);
  const auto m = static_cast<Eigen::Index>(s.m), k = static_cast<Eigen::Index>(s.k),
             n = static_cast<Eigen::Index>(s.n);
  measure(state, pool, flops_of(s), [&] {
    for (const operands& o : data) {
      Eigen::Map<matrix> c(o.c.get(), m, n);
      const Eigen::Map<const matrix> a(o.a.get(), m, k), b(o.b.get(), k, n);
      const Eigen::Map<const transposed> at(o.a.get(), m, k), bt(o.b.get(), k, n);
      if (s.a_transposed) {
        c.noalias() = at * b;
      } else if (s.b_transposed) {
        c.noalias() = a * bt;
      } else {
        c.noalias() = a * b;
      }
    }
  });
}

/// conv 1 -> 32 + ReLU + pool, conv 32 -> 64 + ReLU + pool on n images of 28 x 28.
class small_net {
 public:
  explicit small_net(std::size_t n) : layers_{{n, 28, 28, 1, 32, 3, 1, 2}, {n, 14, 14, 32, 64, 3, 1, 2}} {
    for (const conv_shape& s : layers_) {
      tensors_.emplace_back(s);
      flops_ += 2.0 * 9 * static_cast<double>(s.cin * s.cout * s.h * s.w * s.n);
    }
    backward_flops_ = 2 * flops_ - 2.0 * 9 * 32 * 28 * 28 * static_cast<double>(n);  // no dx of the images
  }
  void forward(thread_pool& pool) {
    for (std::size_t l = 0; l < 2; ++l) {
      tensors& t = tensors_[l];
      conv2d_forward(pool, layers_[l], l ? tensors_[0].y.get() : t.x.get(), t.w.get(), t.bias.get(), true,
                     t.y.get(), t.argmax.data(), t.workspace.get());
    }
  }
  void backward(thread_pool& pool) {
    for (std::size_t l = 2; l-- > 0;) {
      tensors& t = tensors_[l];
      conv2d_backward(pool, layers_[l], l ? tensors_[0].y.get() : t.x.get(), t.w.get(), true, t.y.get(),
                      t.argmax.data(), t.dy.get(), l ? tensors_[0].dy.get() : nullptr, 0.f, t.dw.get(),
                      t.dbias.get(), t.workspace.get());
    }
  }
  double forward_flops() const { return flops_; }
  double backward_flops() const { return backward_flops_; }

 private:
  struct tensors {
    buffer x, w, bias, y, dy, dw, dbias, workspace;
    std::vector<unsigned char> argmax;
    explicit tensors(const conv_shape& s)
        : x(s.n * s.h * s.w * s.cin),
          w(9 * s.cin * s.cout),
          bias(s.cout),
          y(s.n * s.h / 2 * s.w / 2 * s.cout),
          dy(s.n * s.h / 2 * s.w / 2 * s.cout),
          dw(9 * s.cin * s.cout),
          dbias(s.cout),
          workspace(std::max(conv_workspace<float>(s, false), conv_workspace<float>(s, true))),
          argmax(s.n * s.h / 2 * s.w / 2 * s.cout) {}
  };
  conv_shape layers_[2];
  std::vector<tensors> tensors_;
  double flops_ = 0, backward_flops_ = 0;
};

void convolve(benchmark::State& state, bool forward, bool backward) {
  constexpr std::size_t batch = 128;
  thread_pool pool(static_cast<int>(state.range(0)));
  small_net net(batch);
  net.forward(pool);
  const double flops = (forward ? net.forward_flops() : 0) + (backward ? net.backward_flops() : 0);
  measure(state, pool, flops, [&] {
    if (forward) net.forward(pool);
    if (backward) net.backward(pool);
  });
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}

void activations(benchmark::State& state, activation act) {
  constexpr std::size_t n = 128 * 256;
  const buffer x(n), y(n);
  for (auto _ : state) {
    activate_row(act, n, x.get(), y.get());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(n));
}

/// Reads 1 GiB in order, a share a thread: what weights that no cache holds can at best be read with.
void memory_read(benchmark::State& state) {
  constexpr std::size_t n = std::size_t{1} << 28, tile = 65536;
  thread_pool pool(static_cast<int>(state.range(0)));
  const std::unique_ptr<std::uint32_t, decltype(&std::free)> memory(static_cast<std::uint32_t*>(std::aligned_alloc(1u << 21, 4 * n)), &std::free);
  auto* const data = memory.get();
  if (!data) return state.SkipWithError("1 GiB of memory is not to be had");
#if defined(__linux__)
  ::madvise(data, 4 * n, MADV_HUGEPAGE);  // large pages, as weights have
#endif
  std::iota(data, data + n, 0u);
  std::vector<std::uint32_t> sums(n / tile);
  for (auto _ : state) {
    pool.run(n / tile, [&](std::size_t t) {  // four streams: one alone is slower
      constexpr std::size_t quarter = tile / 4;
      const auto* x = data + t * tile;
      std::uint32_t sum = 0;
      for (std::size_t i = 0; i < quarter; ++i) sum += x[i] + x[i + quarter] + x[i + 2 * quarter] + x[i + 3 * quarter];
      sums[t] = sum;
    });
    benchmark::DoNotOptimize(sums.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * std::int64_t{4} * std::int64_t{n});
}

[[maybe_unused]] const bool registered = [] {
  const auto add = [](const std::string& name, int most, auto f) {
    auto* b = benchmark::RegisterBenchmark(name.c_str(), f);
    for (int threads = 1; threads <= most; ++threads) b->Arg(threads);
    b->UseRealTime();
  };
#if defined(_OPENMP)
  constexpr int eigen_threads = 2;
#else
  constexpr int eigen_threads = 1;
#endif
  for (const shape& s : shapes) {
    add(std::string("multiply/") + s.name, 2,
        [&s](benchmark::State& state) { multiply_packed(state, s, false); });
    add(std::string("pack+multiply/") + s.name, 2,
        [&s](benchmark::State& state) { multiply_packed(state, s, true); });
    add(std::string("eigen/") + s.name, eigen_threads,
        [&s](benchmark::State& state) { multiply_eigen(state, s); });
  }
  add("conv/forward", 2, [](benchmark::State& state) { convolve(state, true, false); });
  add("conv/backward", 2, [](benchmark::State& state) { convolve(state, false, true); });
  add("conv/both", 2, [](benchmark::State& state) { convolve(state, true, true); });
  add("memory_read", 2, memory_read);
  benchmark::RegisterBenchmark("activate/gelu", activations, activation::gelu);
  benchmark::RegisterBenchmark("activate/silu", activations, activation::silu);
  benchmark::RegisterBenchmark("activate/tanh", activations, activation::tanh);
  return true;
}();

}  // namespace

BENCHMARK_MAIN();
