// Pinned memory on its way to the device: a ring, so that small copies needn't wait.
#pragma once
#include <cstring>
#include <modx/backend/cuda/memory.cuh>

namespace modx::gpu {

class staging {
  device_memory* memory_;
  cudaStream_t stream_;
  pinned_memory<std::byte> pinned_;
  std::byte* device_ = nullptr;  // its other side
  std::size_t size_ = 0, used_ = 0;

  void take(std::size_t size) {
    pinned_ = memory_->pinned<std::byte>(size);
    device_ = static_cast<std::byte*>(memory_->allocate(size));
    size_ = size, used_ = 0;
  }
  void wait() { MODX_CUDA_CHECK(cudaStreamSynchronize(stream_)); }

 public:
  staging(device_memory& memory, cudaStream_t stream) : memory_(&memory), stream_(stream) { take(staging_bytes); }
  staging(const staging&) = delete;
  staging& operator=(const staging&) = delete;
  ~staging() { memory_->deallocate(device_); }

  static std::size_t rounded(std::size_t bytes) { return (bytes + 255) & ~std::size_t(255); }
  std::size_t size() const { return size_; }

  /// Copies to pinned memory; returns the place.
  std::size_t put(const void* from, std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    if (size > size_) {
      wait();
      memory_->deallocate(std::exchange(device_, nullptr));
      pinned_.reset();
      size_ = 0;
      take(2 * size);
    }
    if (used_ + size > size_) {
      wait();  // what was staged has been read
      used_ = 0;
    }
    const std::size_t at = std::exchange(used_, used_ + size);
    if (bytes) std::memcpy(pinned_.get() + at, from, bytes);
    return at;
  }
  /// From a place to device memory, in stream order.
  void copy(void* to, std::size_t at, std::size_t bytes) {
    MODX_CUDA_CHECK(cudaMemcpyAsync(to, pinned_.get() + at, bytes, cudaMemcpyHostToDevice, stream_));
  }
  /// The device's side of a place.
  std::byte* device(std::size_t at) const { return device_ + at; }
};

}  // namespace modx::gpu
