// Definitions of the CPU backend.  Include it in one TU (or define MODX_COMPILED and link that TU).
#pragma once
#include <cstring>
#include <modx/backend/cpu.hpp>
#include <modx/backend/cpu/conv.hpp>
#include <modx/backend/cpu/gemm.hpp>
#include <modx/backend/cpu/loops.hpp>
#include <modx/backend/cpu/thread_pool.hpp>
#include <modx/backend/functor.hpp>
#include <modx/core.ipp>
#include <new>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace modx {

template <class T>
struct basic_cpu<T>::state {
  std::uint64_t seed;
  std::uint64_t draws = 0;
  std::unique_ptr<kernels::thread_pool> pool;
  std::vector<kernels::product<T>> products;  // reused: no allocation in a step
  std::vector<double> turns, losses;

  static int chosen(int threads) {
    if (threads < 0) throw error("cpu", "threads >= 0", std::to_string(threads));
    return threads ? threads : std::max(1, int(std::thread::hardware_concurrency()));
  }
  state(std::uint64_t s, int threads) : seed(s), pool(std::make_unique<kernels::thread_pool>(chosen(threads))) {}
};

template <class T>
basic_cpu<T>::basic_cpu(std::uint64_t seed, int threads) : state_(make_owned<state>(seed, threads)) {}
template <class T>
basic_cpu<T>::basic_cpu(basic_cpu&&) noexcept = default;
template <class T>
basic_cpu<T>& basic_cpu<T>::operator=(basic_cpu&&) noexcept = default;
template <class T>
basic_cpu<T>::~basic_cpu() = default;

template <class T>
std::uint64_t basic_cpu<T>::seed() const { return state_->seed; }
template <class T>
int basic_cpu<T>::threads() const { return state_->pool->size(); }
template <class T>
void basic_cpu<T>::set_threads(int threads) {
  state_->pool = std::make_unique<kernels::thread_pool>(state::chosen(threads));
}

template <class T>
matrix<T> basic_cpu<T>::normal(std::size_t rows, std::size_t cols, T sd) {
  matrix<T> m(rows, cols);
  const random_stream random(state_->seed, "normal", state_->draws++);
  for (std::size_t i = 0; i < m.data.size(); ++i) m.data[i] = sd * T(random.normal(i));
  return m;
}

namespace kernels {
/// Large blocks start on a 2 MiB page and ask for such pages: fewer misses of the TLB.
inline constexpr std::size_t large_page = std::size_t(1) << 21;
inline std::align_val_t alignment_of(std::size_t bytes) { return std::align_val_t(bytes < large_page ? 64 : large_page); }
}  // namespace kernels

template <class T>
void* basic_cpu<T>::allocate(std::size_t bytes) {
  void* p = ::operator new(std::max<std::size_t>(bytes, 1), kernels::alignment_of(bytes));
#if defined(__linux__)
  if (bytes >= kernels::large_page) static_cast<void>(madvise(p, bytes, MADV_HUGEPAGE));
#endif
  return p;
}
template <class T>
void basic_cpu<T>::deallocate(void* p, std::size_t bytes) noexcept {
  ::operator delete(p, kernels::alignment_of(bytes));
}
template <class T>
void basic_cpu<T>::upload(void* device, const void* host, std::size_t bytes) {
  if (bytes) std::memcpy(device, host, bytes);
}
template <class T>
void basic_cpu<T>::download(void* host, const void* device, std::size_t bytes) const {
  if (bytes) std::memcpy(host, device, bytes);
}
template <class T>
void basic_cpu<T>::fill(std::size_t n, T value, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::element_grain,
                      [=](std::size_t i0, std::size_t i1) { std::fill(y + i0, y + i1, value); });
}
template <class T>
void basic_cpu<T>::axpy(std::size_t n, T a, const T* x, T beta, T* y) {
  kernels::for_chunks(*state_->pool, n, kernels::element_grain, [=](std::size_t i0, std::size_t i1) {
    if (beta == T(0)) {
      for (std::size_t i = i0; i < i1; ++i) y[i] = a * x[i];
    } else {
      for (std::size_t i = i0; i < i1; ++i) y[i] = beta * y[i] + a * x[i];
    }
  });
}

template <class T>
std::size_t basic_cpu<T>::packed_size(std::size_t k, std::size_t n) const { return kernels::packed_size<T>(k, n); }
template <class T>
void basic_cpu<T>::pack(std::span<const pack_task<T>> tasks) {
  kernels::pack(*state_->pool, tasks);
}
template <class T>
void basic_cpu<T>::gemm(std::span<const gemm_task<T>> tasks) {
  auto& list = state_->products;
  list.clear();
  for (const auto& t : tasks) {
    kernels::product<T> p{};
    p.m = t.m, p.n = t.n, p.k = t.k;
    p.a = {t.a.data, t.a.row_stride, t.a.col_stride};
    p.packed_b = t.packed_b, p.beta = t.beta, p.c = t.c, p.ldc = t.ldc;
    p.bias = t.bias, p.act = t.act, p.pre = t.pre, p.gate = t.gate;
    list.push_back(p);
  }
  kernels::multiply(*state_->pool, std::span<const kernels::product<T>>(list));
}

}  // namespace modx

#include <modx/backend/cpu/elementwise.ipp>
#include <modx/backend/cpu/experts.ipp>
#include <modx/backend/cpu/images.ipp>
#include <modx/backend/cpu/rows.ipp>
#include <modx/backend/cpu/transformer.ipp>
#include <modx/backend/cpu/update.ipp>

namespace modx {

template class basic_cpu<float>;
template class basic_cpu<double>;
#define MODX_INSTANTIATE_UNARY(T, F)                                          \
  template void basic_cpu<T>::map(F, std::size_t, const T*, T*);              \
  template void basic_cpu<T>::map_gradient(F, std::size_t, const T*, const T*, const T*, T, T*);
#define MODX_INSTANTIATE_BINARY(T, F)                                         \
  template void basic_cpu<T>::zip(F, std::size_t, const T*, const T*, T*);    \
  template void basic_cpu<T>::zip_gradient(F, int, std::size_t, const T*, const T*, const T*, T, T*);
MODX_FOR_EACH_UNARY(MODX_INSTANTIATE_UNARY, float)
MODX_FOR_EACH_UNARY(MODX_INSTANTIATE_UNARY, double)
MODX_FOR_EACH_BINARY(MODX_INSTANTIATE_BINARY, float)
MODX_FOR_EACH_BINARY(MODX_INSTANTIATE_BINARY, double)
#undef MODX_INSTANTIATE_UNARY
#undef MODX_INSTANTIATE_BINARY

}  // namespace modx
