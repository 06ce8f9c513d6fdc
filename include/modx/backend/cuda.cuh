// Definitions of the CUDA backend: include it in one TU compiled by nvcc.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/attention.cuh>
#include <modx/backend/cuda/conv.cuh>
#include <modx/backend/cuda/elementwise.cuh>
#include <modx/backend/cuda/experts.cuh>
#include <modx/backend/cuda/loss.cuh>
#include <modx/backend/cuda/norm.cuh>
#include <modx/backend/cuda/products.cuh>
#include <modx/backend/cuda/routing.cuh>
#include <modx/backend/cuda/rows.cuh>
#include <modx/backend/cuda/sequence.cuh>
#include <modx/backend/cuda/update.cuh>
#include <modx/random.hpp>

namespace modx {

template <class T>
struct basic_cuda<T>::state {
  std::uint64_t seed, draws = 0;
  gpu::context device;
  gpu::multiplier<T> products;
  gpu::converter<T> conversions;
  std::vector<gpu::norm_entry<T>> norms;  // reused: no allocation in a step
  std::vector<gpu::update_entry<T>> updates;

  state(std::uint64_t s, int number) : seed(s), device(number, gpu::fill_each<T>) {}

  struct update_launch {
    const gpu::update_entry<T>* table;
    unsigned count, blocks;
  };
  /// The tensors of a step as a table on the device; prepare(task, entry) adds what the optimiser needs.
  template <class F>
  update_launch update_blocks(std::span<const update_task<T>> tensors, F prepare) {
    updates.clear();
    unsigned blocks = 0;
    for (const auto& t : tensors) {
      if (t.size == 0) continue;
      gpu::update_entry<T> e{blocks, t.size, t.w, t.g, t.m, t.v, 0, 0, 1};
      prepare(t, e);
      updates.push_back(e);
      blocks += gpu::pieces(t.size);
    }
    if (updates.empty()) return {nullptr, 0, 0};
    return {device.table(std::span<const gpu::update_entry<T>>(updates)), static_cast<unsigned>(updates.size()),
            blocks};
  }
};

template <class T>
basic_cuda<T>::basic_cuda(std::uint64_t seed, int device) : state_(make_owned<state>(seed, device)) {}
template <class T>
basic_cuda<T>::basic_cuda(basic_cuda&&) noexcept = default;
template <class T>
basic_cuda<T>& basic_cuda<T>::operator=(basic_cuda&&) noexcept = default;
template <class T>
basic_cuda<T>::~basic_cuda() = default;

template <class T>
std::uint64_t basic_cuda<T>::seed() const {
  return state_->seed;
}
template <class T>
void basic_cuda<T>::use_tf32(bool on) {
  state_->products.tf32 = on;
}
template <class T>
void basic_cuda<T>::use_bf16(bool on) {
  if (on && sizeof(T) != sizeof(float)) throw error("use_bf16", "a backend of float", "one of double");
  state_->products.bf16 = on;
}
template <class T>
bool basic_cuda<T>::uses_bf16() const {
  return state_->products.bf16;
}
template <class T>
void basic_cuda<T>::set_product_engine(product_engine engine) {
  state_->products.engine = engine;
}
template <class T>
void basic_cuda<T>::synchronize() const {
  state_->device.settle();
}
template <class T>
std::size_t basic_cuda<T>::allocations() const {
  return state_->device.allocations();
}

template <class T>
struct basic_cuda<T>::recording::content {
  gpu::recorded all;
};
template <class T>
basic_cuda<T>::recording::recording() = default;
template <class T>
basic_cuda<T>::recording::recording(recording&&) noexcept = default;
template <class T>
typename basic_cuda<T>::recording& basic_cuda<T>::recording::operator=(recording&&) noexcept = default;
template <class T>
basic_cuda<T>::recording::~recording() = default;
template <class T>
void basic_cuda<T>::begin(const rehearsal* to_record) {
  if (to_record) {
    state_->device.begin_recording(to_record->table_bytes, to_record->reports);
  } else {
    state_->device.begin_rehearsal();
  }
}
template <class T>
typename basic_cuda<T>::rehearsal basic_cuda<T>::end_rehearsal() {
  const auto [bytes, reports] = state_->device.end_rehearsal();
  return {bytes, reports};
}
template <class T>
typename basic_cuda<T>::recording basic_cuda<T>::end_recording() {
  recording r;
  r.content_ = owned<typename recording::content>(new typename recording::content{state_->device.end_recording()});
  return r;
}
template <class T>
void basic_cuda<T>::abandon() noexcept {
  state_->device.abandon_step();
}
template <class T>
void basic_cuda<T>::replay(const recording& r) {
  if (!r) throw error("replay", "a recording", "an empty one");
  state_->device.replay(r.content_->all);
}

template <class T>
matrix<T> basic_cuda<T>::normal(std::size_t rows, std::size_t cols, T sd) {
  matrix<T> m(rows, cols);
  const random_stream random(state_->seed, "normal", state_->draws++);
  for (std::size_t i = 0; i < m.data.size(); ++i) m.data[i] = sd * T(random.normal(i));
  return m;
}

template <class T>
void* basic_cuda<T>::allocate(std::size_t bytes) {
  return state_->device.allocate(bytes);
}
template <class T>
void basic_cuda<T>::deallocate(void* p, std::size_t) noexcept {
  state_->device.deallocate(p);
}
template <class T>
void basic_cuda<T>::upload(void* device, const void* host, std::size_t bytes) {
  state_->device.upload(device, host, bytes);
}
template <class T>
void basic_cuda<T>::download(void* host, const void* device, std::size_t bytes) const {
  state_->device.download(host, device, bytes);
}

template class basic_cuda<float>;
template class basic_cuda<double>;
#define MODX_INSTANTIATE_UNARY(T, F)                              \
  template void basic_cuda<T>::map(F, std::size_t, const T*, T*); \
  template void basic_cuda<T>::map_gradient(F, std::size_t, const T*, const T*, const T*, T, T*);
#define MODX_INSTANTIATE_BINARY(T, F)                                       \
  template void basic_cuda<T>::zip(F, std::size_t, const T*, const T*, T*); \
  template void basic_cuda<T>::zip_gradient(F, int, std::size_t, const T*, const T*, const T*, T, T*);
MODX_FOR_EACH_UNARY(MODX_INSTANTIATE_UNARY, float)
MODX_FOR_EACH_UNARY(MODX_INSTANTIATE_UNARY, double)
MODX_FOR_EACH_BINARY(MODX_INSTANTIATE_BINARY, float)
MODX_FOR_EACH_BINARY(MODX_INSTANTIATE_BINARY, double)
#undef MODX_INSTANTIATE_UNARY
#undef MODX_INSTANTIATE_BINARY

}  // namespace modx
