// The emulator finds what it is for: each fault is planted here and caught, in every order of threads.
#include "cuda/fake_cuda.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <numeric>

#include "catch.hpp"
#include "support.hpp"

using modx::gpu::start;
using support::contains;

namespace {

/// A stream and device arrays of ints, for the length of a test.
class bench {
  std::vector<void*> blocks_;

 public:
  cudaStream_t stream = nullptr;

  bench() { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }
  bench(const bench&) = delete;
  ~bench() {
    for (void* p : blocks_) cudaFreeAsync(p, stream);
    cudaStreamDestroy(stream);
  }
  int* ints(std::size_t n) {
    void* p = nullptr;
    cudaMallocFromPoolAsync(&p, n * sizeof(int), nullptr, stream);
    blocks_.push_back(p);
    return static_cast<int*>(p);
  }
  std::vector<int> host(const int* p, std::size_t n) {
    std::vector<int> v(n);
    cudaMemcpyAsync(v.data(), p, n * sizeof(int), cudaMemcpyDeviceToHost, stream);
    cudaStreamSynchronize(stream);
    return v;
  }
};

/// f() under every kind of schedule; the last one is as it was.
template <class F>
void in_every_order(F f) {
  using order = emu::schedule::order;
  const auto before = emu::current_schedule;
  for (const emu::schedule s :
       {emu::schedule{order::forward, 1}, emu::schedule{order::reverse, 1}, emu::schedule{order::random, 1},
        emu::schedule{order::random, 2}, emu::schedule{order::random, 3}}) {
    emu::current_schedule = s;
    f();
  }
  emu::current_schedule = before;
}
/// What the emulator says about a kernel; "" when it finds nothing.
template <class... P, class... A>
std::string complaint(dim3 grid, dim3 block, void (*kernel)(P...), A... args) {
  bench b;
  try {
    if (start(kernel, grid, block, b.stream, args...) != cudaSuccess) return "not launched";
    cudaStreamSynchronize(b.stream);
  } catch (const std::exception& e) {
    return e.what();
  }
  return {};
}
/// Does f() kill the process?
template <class F>
bool kills(F f) {
  const pid_t child = fork();
  if (child == 0) {
    if (!freopen("/dev/null", "w", stderr)) _exit(0);
    std::signal(SIGSEGV, SIG_DFL);
    try {
      f();
    } catch (...) {
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

__global__ void block_totals(const int* x, int* y) {
  MODX_SHARED(int, part, 8);
  int v = x[blockIdx.x * blockDim.x + threadIdx.x];
  for (int o = 16; o > 0; o /= 2) v += __shfl_xor_sync(~0u, v, o);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x == 0) {
    int total = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) total += part[w];
    y[blockIdx.x] = total;
  }
}
__global__ void prefix_sums(int* x) {
  int v = x[threadIdx.x];
  for (unsigned o = 1; o < 32; o *= 2) {
    const int left = __shfl_up_sync(~0u, v, o);
    if (threadIdx.x >= o) v += left;
  }
  x[threadIdx.x] = v + 0 * __shfl_sync(~0u, v, 31);
}
template <bool with_barrier>
__global__ void neighbours(int* y) {
  MODX_SHARED(int, s, 64);
  s[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (with_barrier) __syncthreads();
  y[threadIdx.x] = s[(threadIdx.x + 1) % 64] + s[(threadIdx.x + 63) % 64];
}
__global__ void some_wait() {
  if (threadIdx.x < 16) __syncthreads();
}
__global__ void two_barriers() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void early_exit() {
  if (threadIdx.x == 7) return;
  __shfl_xor_sync(~0u, 1, 1);
}
__global__ void two_shuffles(int* y) {
  y[threadIdx.x] = threadIdx.x % 2 ? __shfl_xor_sync(~0u, 1, 1) : __shfl_xor_sync(~0u, 2, 1);
}
__global__ void half_a_warp() { __shfl_xor_sync(~0u, 1, 1); }
__global__ void part_of_a_warp() { __shfl_xor_sync(0xffffu, 1, 1); }
__global__ void barrier_and_shuffle() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __shfl_xor_sync(~0u, 1, 1);
  }
}
__global__ void much_shared(int* y) {
  MODX_SHARED(int, s, 12 * 1024);
  MODX_SHARED(int, t, 16);
  y[0] = s[0] + t[0];
}
__global__ void unset_shared(int* y) {
  MODX_SHARED(float, s, 4);
  y[threadIdx.x] = s[threadIdx.x] != s[threadIdx.x];  // NaN
}
__global__ void write_at(int* y, int at) { y[at] = 1; }
__global__ void add_one(int* y) { *y += 1; }
__global__ void nothing() {}

}  // namespace

TEST_CASE("emulator: barriers, shuffles and shared memory give the right sums in every order", "[emulator]") {
  in_every_order([] {
    bench b;
    constexpr std::size_t blocks = 5, threads = 256;
    int *x = b.ints(blocks * threads), *y = b.ints(blocks);
    std::vector<int> values(blocks * threads), totals(blocks);
    for (std::size_t i = 0; i < values.size(); ++i) totals[i / threads] += values[i] = int(i * 7 % 31);
    cudaMemcpyAsync(x, values.data(), values.size() * sizeof(int), cudaMemcpyHostToDevice, b.stream);
    CHECK(start(block_totals, dim3(blocks), dim3(threads), b.stream, x, y) == cudaSuccess);
    CHECK(b.host(y, blocks) == totals);
    CHECK(start(prefix_sums, dim3(1), dim3(32), b.stream, x) == cudaSuccess);
    std::vector<int> sums(32);
    std::partial_sum(values.begin(), values.begin() + 32, sums.begin());
    CHECK(b.host(x, 32) == sums);
  });
}

TEST_CASE("emulator: a missing barrier gives a wrong result in some order", "[emulator]") {
  std::vector<int> right(64);
  for (int i = 0; i < 64; ++i) right[std::size_t(i)] = (i + 1) % 64 + (i + 63) % 64;
  int wrong = 0;
  in_every_order([&] {
    bench b;
    int* y = b.ints(64);
    start(neighbours<true>, dim3(1), dim3(64), b.stream, y);
    CHECK(b.host(y, 64) == right);
    start(neighbours<false>, dim3(1), dim3(64), b.stream, y);
    wrong += b.host(y, 64) != right;
  });
  CHECK(wrong == 5);
}

TEST_CASE("emulator: threads that part at a barrier or a shuffle are found in every order", "[emulator]") {
  bench b;
  int* y = b.ints(64);
  in_every_order([&] {
    const auto says = [](auto kernel, unsigned threads, auto... args) {
      return complaint(dim3(2), dim3(threads), kernel, args...);
    };
    CHECK(contains(says(some_wait, 64), "barrier divergence: 16 of 64 threads wait at a barrier, 48 have left"));
    CHECK(contains(says(two_barriers, 64), "threads wait at different barriers"));
    CHECK(contains(says(barrier_and_shuffle, 64), "barrier divergence: 32 of 64"));
    CHECK(contains(says(early_exit, 64), "lanes wait at a shuffle that others have left the kernel without"));
    CHECK(contains(says(two_shuffles, 64, y), "lanes wait at different shuffles"));
    CHECK(contains(says(half_a_warp, 16), "a warp of fewer than 32 threads"));
    CHECK(contains(says(part_of_a_warp, 32), "a shuffle of part of a warp"));
    CHECK(says(nothing, 64).empty());  // and goes on afterwards
  });
}

TEST_CASE("emulator: shared memory has its limit and is not zero at first", "[emulator]") {
  bench b;
  int* y = b.ints(4);
  CHECK(contains(complaint(dim3(1), dim3(1), much_shared, y), "bytes of shared memory, a block has 49152"));
  start(unset_shared, dim3(1), dim3(4), b.stream, y);
  CHECK(b.host(y, 4) == std::vector<int>(4, 1));
}

TEST_CASE("emulator: writes behind a block are found", "[emulator]") {
  const auto writes = [](int at) {
    bench b;
    int* y = b.ints(10);
    const std::string said = complaint(dim3(1), dim3(1), write_at, y, at);
    if (!said.empty()) std::_Exit(1);
  };
  CHECK_FALSE(kills([&] { writes(9); }));
  CHECK(kills([&] { writes(10); }));
  CHECK(kills([&] { writes(60); }));
}

TEST_CASE("emulator: the host can't reach device memory, and memory that was freed is gone", "[emulator]") {
  bench b;
  int* y = b.ints(4);
  CHECK(kills([&] { *const_cast<volatile int*>(y) = 1; }));
  CHECK(kills([&] { std::printf("%d", *const_cast<volatile int*>(y)); }));
  int local = 0;
  CHECK(contains(complaint(dim3(1), dim3(1), add_one, &local), "a pointer that is not device memory"));
  int* gone = nullptr;
  {
    bench other;
    gone = other.ints(4);
  }
  CHECK(contains(complaint(dim3(1), dim3(1), add_one, gone), "a pointer that is not device memory"));
  CHECK(cudaMemcpyAsync(y, &local, 20, cudaMemcpyHostToDevice, b.stream) == cudaErrorInvalidValue);  // too long
  CHECK(cudaMemsetAsync(gone, 0, 4, b.stream) == cudaErrorInvalidValue);
}

TEST_CASE("emulator: launches that no GPU takes are refused", "[emulator]") {
  bench b;
  const auto launched = [&](dim3 grid, dim3 block) { return start(nothing, grid, block, b.stream) == cudaSuccess; };
  CHECK(launched(dim3(1), dim3(1024)));
  CHECK(launched(dim3(1, 65535), dim3(1)));
  CHECK_FALSE(launched(dim3(1), dim3(1025)));
  CHECK_FALSE(launched(dim3(1), dim3(32, 33)));
  CHECK_FALSE(launched(dim3(0), dim3(32)));
  CHECK_FALSE(launched(dim3(1, 0), dim3(32)));
  CHECK_FALSE(launched(dim3(1), dim3(32, 0)));
  CHECK_FALSE(launched(dim3(1, 65536), dim3(1)));
  CHECK_FALSE(launched(dim3(1, 1, 65536), dim3(1)));
  CHECK_FALSE(launched(dim3(0x80000000u), dim3(1)));
}

TEST_CASE("emulator: lazy streams show what was not waited for", "[emulator]") {
  const bool before = std::exchange(emu::driver().lazy, true);
  {
    bench a, b;
    int* y = a.ints(1);
    cudaMemsetAsync(y, 0, sizeof(int), a.stream);
    cudaStreamSynchronize(a.stream);
    start(add_one, dim3(1), dim3(1), b.stream, y);
    CHECK(a.host(y, 1)[0] == 0);  // nobody joined b
    cudaEvent_t e = nullptr;
    cudaEventCreateWithFlags(&e, cudaEventDisableTiming);
    cudaEventRecord(e, b.stream);
    start(add_one, dim3(1), dim3(1), b.stream, y);  // after the event
    cudaStreamWaitEvent(a.stream, e);
    CHECK(a.host(y, 1)[0] == 1);
    cudaStreamSynchronize(b.stream);
    CHECK(a.host(y, 1)[0] == 2);
    cudaEventDestroy(e);

    void* pinned = nullptr;
    cudaMallocHost(&pinned, sizeof(int));
    *static_cast<int*>(pinned) = 5;
    cudaMemcpyAsync(y, pinned, sizeof(int), cudaMemcpyHostToDevice, a.stream);
    *static_cast<int*>(pinned) = 6;  // too early
    CHECK(a.host(y, 1)[0] == 6);
    cudaFreeHost(pinned);
  }
  emu::driver().lazy = before;
}

TEST_CASE("emulator: products are checked as cuBLAS would, and harder", "[emulator]") {
  bench b;
  cublasHandle_t h = nullptr;
  cublasCreate(&h);
  auto *x = reinterpret_cast<float*>(b.ints(12)), *y = reinterpret_cast<float*>(b.ints(12)),
       *z = reinterpret_cast<float*>(b.ints(12)), *work = reinterpret_cast<float*>(b.ints(16));
  const float one = 1, zero = 0;
  const auto call = [&](const float* p, int lda, int ldb, int ldc, cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
    return cublasGemmEx(h, CUBLAS_OP_N, CUBLAS_OP_N, 3, 4, 2, &one, p, CUDA_R_32F, lda, y, CUDA_R_32F, ldb, &zero, z,
                        CUDA_R_32F, ldc, compute, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS;
  };
  CHECK_FALSE(call(x, 3, 2, 3));  // no stream
  cublasSetStream(h, b.stream);
  CHECK_FALSE(call(x, 3, 2, 3));  // no workspace of its own
  cublasSetWorkspace(h, work, 64);
  CHECK(call(x, 3, 2, 3));
  CHECK_FALSE(call(x, 2, 2, 3));
  CHECK_FALSE(call(x, 3, 1, 3));
  CHECK_FALSE(call(x, 3, 2, 2));
  CHECK_FALSE(call(x, 3, 2, 4));      // past the end of z
  CHECK_FALSE(call(x + 7, 3, 2, 3));  // past the end of x
  CHECK_FALSE(call(&one, 3, 2, 3));   // host memory
  CHECK_FALSE(call(x, 3, 2, 3, CUBLAS_COMPUTE_64F));
  cublasDestroy(h);
}
