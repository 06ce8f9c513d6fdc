// Memory of one device, in the order of its main stream: a pool that keeps what it gets back, a block of scratch, pinned
// memory of the host, and what recorded steps may still use.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <modx/backend/cuda/check.cuh>
#include <type_traits>
#include <utility>
#include <vector>

namespace modx::gpu {

/// What CUDA hands out and `close` takes back.
template <auto close>
struct closes {
  template <class P>
  void operator()(P* p) const noexcept {
    (void)close(p);
  }
};
template <class H, auto close>
using handle = std::unique_ptr<std::remove_pointer_t<H>, closes<close>>;
template <class P>
using pinned_memory = std::unique_ptr<P, closes<cudaFreeHost>>;

inline handle<cudaStream_t, cudaStreamDestroy> new_stream() {
  cudaStream_t s = nullptr;
  MODX_CUDA_CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
  return handle<cudaStream_t, cudaStreamDestroy>(s);
}

/// A recorded step is a fixed list of kernels.
[[noreturn]] inline void fail_recorded(const char* what) {
  throw error("cuda, a recorded step", "kernels and products only",
              std::string(what) + " (top-k routing and losses that read counts can't be recorded)");
}

class device_memory {
  int device_;
  cudaStream_t stream_;
  handle<cudaMemPool_t, cudaMemPoolDestroy> pool_;
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0, allocations_ = 0;
  std::size_t recordings_ = 0;   // alive
  std::vector<void*> retired_;   // memory that they may still use

 public:
  bool recording = false;  // a step is being recorded: nothing can be taken, what comes back is kept

  device_memory(int device, cudaStream_t stream) : device_(device), stream_(stream) {
    cudaMemPoolProps props{};
    props.allocType = cudaMemAllocationTypePinned;
    props.location.type = cudaMemLocationTypeDevice;
    props.location.id = device;
    cudaMemPool_t pool = nullptr;
    MODX_CUDA_CHECK(cudaMemPoolCreate(&pool, &props));
    pool_.reset(pool);
    std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();  // memory stays with the pool
    MODX_CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
  }
  device_memory(const device_memory&) = delete;
  device_memory& operator=(const device_memory&) = delete;
  ~device_memory() {
    recording = false;
    deallocate(scratch_);
    for (void* p : retired_) deallocate(p);
    (void)cudaSetDevice(device_);
    (void)cudaStreamSynchronize(stream_);
  }

  /// Device and pinned blocks taken so far.
  std::size_t allocations() const { return allocations_; }
  /// Makes the device the calling thread's: a thread starts with device 0.
  void enter() const { MODX_CUDA_CHECK(cudaSetDevice(device_)); }

  void* allocate(std::size_t bytes) {
    void* p = nullptr;
    if (recording) fail_recorded("an allocation");
    ++allocations_;
    enter();
    MODX_CUDA_CHECK(cudaMallocFromPoolAsync(&p, std::max<std::size_t>(bytes, 1), pool_.get(), stream_));
    return p;
  }
  void deallocate(void* p) noexcept {
    if (!p) return;
    if (recording) return retired_.push_back(p);
    (void)cudaSetDevice(device_);
    (void)cudaFreeAsync(p, stream_);
  }
  /// n uninitialised T for the operation at hand; the next call gets the same memory.
  template <class T>
  T* scratch(std::size_t n) {
    const std::size_t bytes = n * sizeof(T);
    if (bytes > scratch_bytes_) {
      void* const old = std::exchange(scratch_, nullptr);
      scratch_bytes_ = 0;
      if (recordings_) {
        retired_.push_back(old);
      } else {
        deallocate(old);
      }
      const std::size_t size = std::max<std::size_t>(bytes + bytes / 2, 4096);
      scratch_ = allocate(size);
      scratch_bytes_ = size;
    }
    return static_cast<T*>(scratch_);
  }
  template <class P>
  pinned_memory<P> pinned(std::size_t bytes) {
    void* p = nullptr;
    ++allocations_;
    MODX_CUDA_CHECK(cudaMallocHost(&p, bytes));
    return pinned_memory<P>(static_cast<P*>(p));
  }

  /// A recording is alive, from here ...
  void hold() { ++recordings_; }
  /// ... to here; after the last one, what they may have used goes.
  void release() noexcept {
    if (--recordings_) return;
    for (void* p : retired_) deallocate(p);
    retired_.clear();
  }
};

}  // namespace modx::gpu
