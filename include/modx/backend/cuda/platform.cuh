// What the backend needs of CUDA, in one place.  MODX_CUDA_PLATFORM names a header that stands in for it (the tests'
// emulator).
#pragma once
#if defined(MODX_CUDA_PLATFORM)
#include MODX_CUDA_PLATFORM
#else
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstddef>

/// `name`: an array of `size` T that the threads of a block share.
#define MODX_SHARED(T, name, size) __shared__ T name[size]

namespace modx::gpu {

inline constexpr std::size_t product_workspace = std::size_t(32) << 20;  // bytes a stream, for cuBLAS (Hopper's advice)
inline constexpr std::size_t im2col_elements = std::size_t(1) << 24;     // of a convolution at a time
inline constexpr std::size_t staging_bytes = std::size_t(4) << 20;       // pinned, for small uploads and tables

/// kernel(args...) on grid x block.
template <class... P, class... A>
cudaError_t start(void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, const A&... args) {
  static_assert((sizeof(P) + ... + 0) <= 4096, "a kernel takes at most 4096 bytes of arguments");
  kernel<<<grid, block, 0, stream>>>(static_cast<P>(args)...);
  return cudaGetLastError();
}

}  // namespace modx::gpu
#endif
