# modx::cuda: the CUDA backend compiled once by nvcc.  A program that links it is C++ for any compiler, and still runs
# modx::cpu where there is no GPU.  Nothing here asks a device.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90)  # 90: also PTX, for what comes later
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "modx: MODX_CUDA needs nvcc, which was not found: put it on PATH or set CMAKE_CUDA_COMPILER, or "
          "configure with -DMODX_CUDA=OFF")
endif()
enable_language(CUDA)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 knows it for no nvcc later than its own
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
modx_find_needs(cuda missing)
if(missing)
  message(FATAL_ERROR "${missing}")
endif()

file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/modx_cuda.cu CONTENT "#include <modx/backend/cuda.cuh>\n")
add_library(modx_cuda STATIC ${CMAKE_CURRENT_BINARY_DIR}/modx_cuda.cu)
add_library(modx::cuda ALIAS modx_cuda)
target_link_libraries(modx_cuda PUBLIC modx_cpu CUDA::cudart CUDA::cublas)
target_compile_definitions(modx_cuda PUBLIC MODX_CUDA)  # programs may ask whether they have it
set_target_properties(modx_cuda PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF EXPORT_NAME cuda)
if(PROJECT_IS_TOP_LEVEL)
  target_compile_options(modx_cuda PRIVATE --Werror all-warnings -Xcompiler -Wall,-Wextra)
endif()
