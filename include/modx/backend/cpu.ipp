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
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace modx {

template <class T>
struct basic_cpu<T>::state {
  std::uint64_t seed;
  std::uint64_t draws = 0;
  bool bf16 = false;
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
void basic_cpu<T>::use_bf16(bool on) {
  if (on && sizeof(T) != sizeof(float)) throw error("use_bf16", "a backend of float", "one of double");
  state_->bf16 = on;
}
template <class T>
bool basic_cpu<T>::uses_bf16() const { return state_->bf16; }
template <class T>
std::string basic_cpu<T>::bf16_engine() {
  const char* missing = kernels::amx_missing();
  return missing ? std::string("vectors: ") + missing : "AMX";
}

template <class T>
matrix<T> basic_cpu<T>::normal(std::size_t rows, std::size_t cols, T sd) {
  matrix<T> m(rows, cols);
  const random_stream random(state_->seed, "normal", state_->draws++);
  for (std::size_t i = 0; i < m.data.size(); ++i) m.data[i] = sd * T(random.normal(i));
  return m;
}

namespace kernels {
inline constexpr std::align_val_t block_alignment{64};
#if defined(__linux__)
/// Large blocks come from the system, on 2 MiB pages where it has them (fewer misses of the TLB): of the heap's, a block
/// aligned so costs another 2 MiB, and what is freed between two of them stays resident.
inline constexpr std::size_t large_page = std::size_t(1) << 21;
#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t zone = 0x10000;  // behind a block, where AddressSanitizer is to report what is touched
#else
inline constexpr std::size_t zone = 0;
#endif
inline std::size_t mapped_size(std::size_t bytes) { return (bytes + zone + 0xffff) & ~std::size_t(0xffff); }  // whole pages, of 64 KiB at most
inline void* map_large(std::size_t bytes) {
  const std::size_t size = mapped_size(bytes), with_slack = size + large_page;
  if (with_slack < bytes) throw std::bad_alloc();
  void* all = ::mmap(nullptr, with_slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<std::byte*>(all);
  const std::size_t before = (large_page - reinterpret_cast<std::uintptr_t>(begin) % large_page) % large_page;
  if (before) ::munmap(begin, before);
  if (before < large_page) ::munmap(begin + before + size, large_page - before);
  static_cast<void>(::madvise(begin + before, size, MADV_HUGEPAGE));
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(begin + before + bytes, size - bytes);
#endif
  return begin + before;
}
inline void unmap_large(void* p, std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(static_cast<std::byte*>(p) + bytes, mapped_size(bytes) - bytes);
#endif
  ::munmap(p, mapped_size(bytes));
}
#endif
}  // namespace kernels

template <class T>
void* basic_cpu<T>::allocate(std::size_t bytes) {
#if defined(__linux__)
  if (bytes >= kernels::large_page) return kernels::map_large(bytes);
#endif
  return ::operator new(std::max<std::size_t>(bytes, 1), kernels::block_alignment);
}
template <class T>
void basic_cpu<T>::deallocate(void* p, std::size_t bytes) noexcept {
#if defined(__linux__)
  if (p && bytes >= kernels::large_page) {
    kernels::unmap_large(p, bytes);
    return;
  }
#endif
  ::operator delete(p, kernels::block_alignment);
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
  kernels::pack(*state_->pool, tasks, state_->bf16);
}
template <class T>
bool basic_cpu<T>::packs_rounded(bool exact) const { return state_->bf16 && !exact; }
template <class T>
std::size_t basic_cpu<T>::bf16_panel() { return kernels::bf16_width<T>; }
template <class T>
std::size_t basic_cpu<T>::bf16_size(std::size_t k, std::size_t columns) { return kernels::bf16_size<T>(k, columns); }
template <class T>
std::size_t basic_cpu<T>::bf16_at(std::size_t k, std::size_t l, std::size_t column) { return kernels::bf16_at<T>(k, l, column); }
template <class T>
void basic_cpu<T>::pack_bf16(std::size_t k, std::size_t from, std::size_t n, matrix_view<T> b, std::uint16_t* out) {
  constexpr std::size_t width = kernels::bf16_width<T>;
  if (from % width) throw error("pack_bf16", "a start at a panel of " + std::to_string(width) + " columns", std::to_string(from));
  const kernels::bf16_pack<T> matrix{k, from, n, {b.data, b.row_stride, b.col_stride}, out};
  state_->pool->run(matrix.panels(), [&](std::size_t panel) { matrix.run(panel); });
}
template <class T>
void basic_cpu<T>::unpack_bf16(std::size_t k, std::size_t from, std::size_t n, const std::uint16_t* packed, T* out) {
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(k), [=](std::size_t j0, std::size_t j1) {
    kernels::unpack_bf16_columns(k, from + j0, j1 - j0, packed, out + j0 * k);
  });
}
template <class T>
void basic_cpu<T>::gather_bf16(std::size_t n, std::size_t k, std::size_t columns, const std::uint16_t* packed,
                               const std::int32_t* id, T* y) {
  for (std::size_t t = 0; t < n; ++t) kernels::check_id("take_rows", t, id[t], columns);
  kernels::for_chunks(*state_->pool, n, kernels::row_grain(k), [=](std::size_t t0, std::size_t t1) {
    for (std::size_t t = t0; t < t1; ++t) kernels::unpack_bf16_columns(k, std::size_t(id[t]), 1, packed, y + t * k);
  });
}
template <class T>
void basic_cpu<T>::gemm(std::span<const gemm_task<T>> tasks) {
  auto& list = state_->products;
  list.clear();
  for (const auto& t : tasks) {
    kernels::product<T> p{};
    p.m = t.m, p.n = t.n, p.k = t.k;
    p.a = {t.a.data, t.a.row_stride, t.a.col_stride};
    p.packed_b = t.packed_b, p.packed_bf16 = t.packed_bf16, p.beta = t.beta, p.c = t.c, p.ldc = t.ldc;
    p.bias = t.bias, p.act = t.act, p.pre = t.pre, p.gate = t.gate;
    p.rounded = state_->bf16 && !t.exact;
    if (p.rounded && !p.packed_bf16) p.packed_bf16 = reinterpret_cast<const std::uint16_t*>(t.packed_b);
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
