// Streams that products may use, each with its own cuBLAS handle and workspace, so that its products have the same bits
// every time.
#pragma once
#include <array>
#include <modx/backend/cuda/memory.cuh>

namespace modx::gpu {

class product_lanes {
 public:
  static constexpr std::size_t count = 4;

 private:
  struct lane {
    handle<cudaStream_t, cudaStreamDestroy> own;  // the first lane has the main stream
    handle<cublasHandle_t, cublasDestroy> blas;
    handle<cudaEvent_t, cudaEventDestroy> done;
    void* workspace = nullptr;
  };
  device_memory* memory_;
  cudaStream_t main_;
  handle<cudaEvent_t, cudaEventDestroy> fork_;
  std::array<lane, count> lanes_;

  static handle<cudaEvent_t, cudaEventDestroy> new_event() {
    cudaEvent_t e = nullptr;
    MODX_CUDA_CHECK(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    return handle<cudaEvent_t, cudaEventDestroy>(e);
  }
  cudaStream_t stream(const lane& l) const { return l.own ? l.own.get() : main_; }
  void wait_for_main(cudaStream_t s) {
    MODX_CUDA_CHECK(cudaEventRecord(fork_.get(), main_));
    MODX_CUDA_CHECK(cudaStreamWaitEvent(s, fork_.get(), 0));
  }
  lane& open(std::size_t i) {
    lane& l = lanes_[i];
    if (l.blas) return l;
    if (i > 0 && !l.own) l.own = new_stream();
    if (!l.done) l.done = new_event();
    if (!l.workspace) l.workspace = memory_->allocate(product_workspace);
    if (i > 0) wait_for_main(l.own.get());  // the memory is there
    cublasHandle_t h = nullptr;
    MODX_CUDA_CHECK(cublasCreate(&h));
    handle<cublasHandle_t, cublasDestroy> blas(h);
    MODX_CUDA_CHECK(cublasSetStream(h, stream(l)));
    MODX_CUDA_CHECK(cublasSetWorkspace(h, l.workspace, product_workspace));
    l.blas = std::move(blas);
    return l;
  }

 public:
  product_lanes(device_memory& memory, cudaStream_t main) : memory_(&memory), main_(main), fork_(new_event()) {}
  product_lanes(const product_lanes&) = delete;
  product_lanes& operator=(const product_lanes&) = delete;
  ~product_lanes() {
    for (auto& l : lanes_)
      if (l.workspace) (void)cudaStreamSynchronize(stream(l));
    for (auto& l : lanes_) memory_->deallocate(l.workspace);
  }

  cublasHandle_t blas(std::size_t i = 0) {
    memory_->enter();
    return open(i).blas.get();
  }
  /// The first n lanes start where the main stream is ...
  void fork(std::size_t n) {
    memory_->enter();
    for (std::size_t i = 1; i < n; ++i) open(i);
    for (std::size_t i = 1; i < n; ++i) wait_for_main(lanes_[i].own.get());
  }
  /// ... and the main stream goes on when they are done.
  void join(std::size_t n) {
    for (std::size_t i = 1; i < n; ++i) {
      MODX_CUDA_CHECK(cudaEventRecord(lanes_[i].done.get(), lanes_[i].own.get()));
      MODX_CUDA_CHECK(cudaStreamWaitEvent(main_, lanes_[i].done.get(), 0));
    }
  }
};

}  // namespace modx::gpu
