// What went wrong in CUDA or cuBLAS, as one sentence with what to do.
#pragma once
#include <modx/backend/cuda/platform.cuh>
#include <modx/error.hpp>
#include <string>

namespace modx::gpu {

/// "13.0" of 13000.
inline std::string version_text(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

[[noreturn]] inline void fail(cudaError_t code, const char* call) {
  switch (code) {
    case cudaErrorInsufficientDriver: {
      int driver = 0;
      (void)cudaDriverGetVersion(&driver);
      throw error("cuda", "an NVIDIA driver for CUDA " + version_text(CUDART_VERSION) + " or later",
                  (driver ? "one for CUDA " + version_text(driver) + " (update the driver" : "none (install one") +
                      ", or use modx::cpu)");
    }
    case cudaErrorNoDevice:
      throw error("cuda", "a CUDA device", "none (look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use modx::cpu)");
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion: {
      int device = 0, major = 0, minor = 0;
      (void)cudaGetDevice(&device);
      (void)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
      (void)cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
      const std::string digits = std::to_string(major) + std::to_string(minor);
      throw error("cuda",
                  "code for compute capability " + std::to_string(major) + "." + std::to_string(minor) + " (device " +
                      std::to_string(device) + ") in the program",
                  "none (build modx::cuda with CMAKE_CUDA_ARCHITECTURES=" + digits + ")");
    }
    case cudaErrorMemoryAllocation: {
      std::size_t free = 0, total = 0;
      (void)cudaMemGetInfo(&free, &total);
      throw error("cuda, " + std::string(call), "enough device memory",
                  std::to_string(free >> 20) + " MiB free of " + std::to_string(total >> 20) +
                      " (use a smaller batch or model, or stop what else runs on the GPU)");
    }
    default:
      throw error("cuda: " + std::string(call) + " failed: " + cudaGetErrorString(code) + " (" +
                  cudaGetErrorName(code) + "); compute-sanitizer finds the place");
  }
}
inline void check(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  (void)cudaGetLastError();  // forgets it, where it can be forgotten
  fail(code, call);
}
inline void check(cublasStatus_t code, const char* call) {
  if (code != CUBLAS_STATUS_SUCCESS)
    throw error("cuda: " + std::string(call) + " failed: " + cublasGetStatusString(code));
}

}  // namespace modx::gpu

/// Throws modx::error unless a call of CUDA or cuBLAS succeeds.
#define MODX_CUDA_CHECK(call) ::modx::gpu::check((call), #call)
