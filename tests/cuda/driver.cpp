// The backend's host code against a driver that fails: one sentence each, nothing left behind, and no memory taken in a
// training step after the first ones.
#include <modx/backend/cuda.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/step_graphs.hpp>
#include <thread>

#include "catch.hpp"
#include "cuda/fake_cuda.hpp"
#include "support.hpp"
#include "zoo.hpp"

using namespace modx;
using support::contains;
using support::message;

namespace {

/// What constructing the backend says when this call fails.
std::string says(std::string_view call, int code) {
  emu::driver().failures[call] = code;
  const auto text = message([] { cuda backend; });
  emu::driver().failures.clear();
  return text;
}
/// Everything that a backend holds of a device.
std::vector<std::size_t> held() {
  const auto& d = emu::driver();
  return {d.streams, d.events, d.pools, d.handles, d.pinned.size(), emu::memory().live(), d.used};
}
std::size_t blocks_taken() {
  auto& calls = emu::driver().calls;
  return calls["cudaMallocFromPoolAsync"] + calls["cudaMallocHost"];
}

}  // namespace

TEST_CASE("cuda: no driver, an old one, no device, no code for it: one sentence with what to do", "[driver]") {
  CHECK(
      says("cudaGetDeviceCount", cudaErrorNoDevice) ==
      "modx: cuda: expected a CUDA device, found none (look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use modx::cpu)");
  emu::driver().driver_version = 0;
  CHECK(says("cudaGetDeviceCount", cudaErrorInsufficientDriver) ==
        "modx: cuda: expected an NVIDIA driver for CUDA 13.0 or later, found none (install one, or use modx::cpu)");
  emu::driver().driver_version = 12040;
  CHECK(
      contains(says("cudaGetDeviceCount", cudaErrorInsufficientDriver), "found one for CUDA 12.4 (update the driver"));
  emu::driver().driver_version = 13000;
  for (const auto code :
       {cudaErrorNoKernelImageForDevice, cudaErrorInvalidDeviceFunction, cudaErrorUnsupportedPtxVersion})
    CHECK(contains(
        says("cudaFuncGetAttributes", code),
        "expected code for compute capability 9.0 (device 0) in the program, found none (build modx::cuda with "
        "CMAKE_CUDA_ARCHITECTURES=90)"));
  CHECK(contains(says("cublasCreate", CUBLAS_STATUS_NOT_INITIALIZED), "cublasCreate(&h) failed"));
  CHECK(contains(says("cudaStreamCreateWithFlags", cudaErrorIllegalAddress), "cudaStreamCreateWithFlags"));
}

TEST_CASE("cuda: a constructor that fails anywhere leaves nothing behind", "[driver]") {
  const auto before = held();
  for (const char* call : {"cudaGetDeviceCount", "cudaSetDevice", "cudaFuncGetAttributes", "cudaStreamCreateWithFlags",
                           "cudaEventCreateWithFlags", "cudaMemPoolCreate", "cudaMemPoolSetAttribute", "cudaMallocHost",
                           "cudaMallocFromPoolAsync", "cudaMemsetAsync", "cublasCreate"}) {
    INFO(call);
    CHECK(!says(call, 2).empty());
    CHECK(held() == before);
  }
  {
    cuda whole;
    CHECK(held() != before);
  }
  CHECK(held() == before);
}

TEST_CASE("cuda: out of memory says how much there is, and the backend works on", "[driver]") {
  cuda b;
  CHECK(contains(message([&] { b.allocate(std::size_t(2) << 30); }),
                 "expected enough device memory, found 1023 MiB free of 1024 (use a smaller batch or model"));
  float x = 3;
  auto* p = static_cast<float*>(b.allocate(4));
  b.upload(p, &x, 4);
  x = 0;
  b.download(&x, p, 4);
  CHECK(x == 3);
  emu::driver().failures["launch"] = cudaErrorInvalidConfiguration;
  CHECK(contains(message([&] { b.fill(1, 2, p); }), "a kernel's launch failed: invalid configuration argument"));
  b.fill(1, 2, p);
  b.download(&x, p, 4);
  CHECK(x == 2);
  b.deallocate(p, 4);
}

TEST_CASE("cuda: training steps after the first ones take no device or pinned memory", "[driver]") {
  zoo::for_each([&](const char* name, const auto& spec, const shape& io) {
    INFO(name);
    cuda b;
    auto m = build(b, spec, io);
    const zoo::batch<float> data(37, io, 5);
    std::vector<std::size_t> taken, counted;
    for (int step = 0; step < 5; ++step) {
      train_step(m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label, {.clip_norm = 0.1});
      taken.push_back(blocks_taken());
      counted.push_back(b.allocations());
    }
    CHECK(taken[0] > 0);
    CHECK(taken[4] == taken[1]);  // the second step may put the arena's blocks together
    CHECK(counted[4] == counted[1]);
  });
}

TEST_CASE("cuda: a replayed step takes no memory, and is one launch besides the update", "[driver]") {
  cuda b;
  auto m = build(b, zoo::conv(), zoo::images);
  step_graphs<cuda> graphs(b);
  const zoo::batch<float> data(37, zoo::images, 5);
  const auto step = [&] { train_step(graphs, m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label); };
  for (int i = 0; i < 4; ++i) step();
  CHECK(graphs.replays() > 0);
  auto& calls = emu::driver().calls;
  const auto taken = blocks_taken(), replays = graphs.replays(), launches = calls["launch"], graph = calls["cudaGraphLaunch"],
             copies = calls["cudaMemcpyAsync"];
  step();
  CHECK(blocks_taken() == taken);
  CHECK(graphs.replays() == replays + 1);
  CHECK(calls["cudaGraphLaunch"] == graph + 1);
  CHECK(calls["launch"] == launches + 1);           // AdamW
  CHECK(calls["cudaMemcpyAsync"] == copies + 2 + 1 + 1 + 1);  // rows and labels; loss and reports; AdamW's table
}

TEST_CASE("cuda: a recording that fails anywhere leaves nothing behind, and the next one works", "[driver]") {
  const auto graphs_held = [] { return emu::driver().graphs; };
  const auto start = graphs_held();
  {
    cuda b;
    auto m = build(b, zoo::dense(), zoo::rows_of_20);
    const zoo::batch<float> data(9, zoo::rows_of_20, 5);
    for (const char* call : {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate", "cudaGraphLaunch"}) {
      INFO(call);
      const auto before = graphs_held();
      step_graphs<cuda> graphs(b);
      const auto step = [&] { train_step(graphs, m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label); };
      step(), step();
      emu::driver().failures[call] = 2;
      std::string said;
      for (int i = 0; i < 3 && said.empty(); ++i) said = message([&] { graphs.run({1}, m.parameters(), [&](tape<cuda>& t) {
            const auto y = m.forward(t.constant(9, 20, 1.f));
            const auto value = ops::sum(y);
            t.backward(value);
            return value.data();
          }); });
      CHECK(contains(said, call));
      CHECK(emu::driver().failures.empty());
      for (int i = 0; i < 3; ++i) step();
      CHECK(graphs.replays() > 0);
      static_cast<void>(before);
    }
  }
  CHECK(graphs_held() == start);
}

TEST_CASE("cuda: the emulator finds what may not be recorded", "[driver]") {
  cudaStream_t s = nullptr, other = nullptr;
  cudaEvent_t e = nullptr;
  cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&e, cudaEventDisableTiming);
  int done = 0;
  cudaGraph_t g = nullptr;
  const auto work = [&](cudaStream_t on) { emu::enqueue(on, [&] { ++done; }); };
  const auto begin = [&] { return cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal); };
  CHECK(begin() == cudaSuccess);
  work(s);
  CHECK(done == 0);
  CHECK(cudaStreamSynchronize(s) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(s, &g) == cudaErrorStreamCaptureInvalidated);
  CHECK(begin() == cudaSuccess);  // another stream takes part, and nobody waits for it
  cudaEventRecord(e, s), cudaStreamWaitEvent(other, e);
  work(other), work(s);
  CHECK(cudaStreamEndCapture(s, &g) == cudaErrorStreamCaptureUnjoined);
  cudaEventRecord(e, other);
  CHECK(begin() == cudaSuccess);
  CHECK(cudaStreamWaitEvent(s, e) == cudaErrorStreamCaptureIsolation);
  CHECK(cudaStreamEndCapture(s, &g) == cudaSuccess);
  cudaGraphDestroy(g);
  CHECK(done == 0);
  cudaEventDestroy(e), cudaStreamDestroy(s), cudaStreamDestroy(other);
}

TEST_CASE("cuda: a backend on the second device is used from another thread", "[driver]") {
  emu::driver().devices = 2;
  {
    cuda b{1, 1};
    std::string said;
    std::thread([&] {
      said = message([&] {
        auto m = build(b, zoo::sparse(), zoo::rows_of_20);
        const zoo::batch<float> data(9, zoo::rows_of_20, 1);
        train_step(m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label, {.clip_norm = 1});
      });
    }).join();
    CHECK(said.empty());
  }
  emu::driver().devices = 1;
  cudaSetDevice(0);
}

TEST_CASE("cuda: products are of float unless TF32 is asked for, and one call when many are small", "[driver]") {
  auto& d = emu::driver();
  cuda b;
  basic_cuda<double> wide;
  const auto run = [&](auto& on, std::size_t count, std::size_t m) {
    using T = typename std::decay_t<decltype(on)>::scalar;
    auto* p = static_cast<T*>(on.allocate(count * (m + 4 + 4 * m) * sizeof(T)));
    on.fill(count * (m + 4 + 4 * m), 1, p);
    std::vector<gemm_task<T>> list(count);
    for (std::size_t i = 0; i < count; ++i) {
      auto& t = list[i];
      t.m = m, t.n = 4, t.k = 1, t.ldc = 4;
      t.a = matrix_view<T>::plain(p + i * m, 1), t.b = matrix_view<T>::plain(p + count * m + 4 * i, 4);
      t.c = p + count * (m + 4) + 4 * m * i;
    }
    const std::size_t before[] = {d.calls["cublasGemmEx"], d.calls["cublasGemmGroupedBatched"]};
    on.gemm(std::span<const gemm_task<T>>(list));
    on.deallocate(p, 0);
    return std::pair(d.calls["cublasGemmEx"] - before[0], d.calls["cublasGemmGroupedBatched"] - before[1]);
  };
  using counts = std::pair<std::size_t, std::size_t>;
  CHECK(run(b, 1, 8) == counts(1, 0));
  CHECK(d.compute == CUBLAS_COMPUTE_32F);
  CHECK(run(b, 3, 8) == counts(3, 0));
  CHECK(run(b, 8, 8) == counts(0, 1));
  CHECK(d.math == CUBLAS_DEFAULT_MATH);
  b.set_product_engine(product_engine::streams);
  CHECK(run(b, 8, 8) == counts(8, 0));
  b.set_product_engine(product_engine::grouped);
  CHECK(run(b, 2, 8) == counts(0, 1));
  b.use_tf32(true);
  CHECK(run(b, 2, 8) == counts(0, 1));
  CHECK(d.math == CUBLAS_TF32_TENSOR_OP_MATH);
  CHECK(run(b, 1, 8) == counts(1, 0));
  CHECK(d.compute == CUBLAS_COMPUTE_32F_FAST_TF32);
  wide.use_tf32(true);
  CHECK(run(wide, 1, 8) == counts(1, 0));
  CHECK(d.compute == CUBLAS_COMPUTE_64F);
}
