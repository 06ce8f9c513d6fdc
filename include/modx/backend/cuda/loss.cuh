// CUDA backend: losses.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/rows.cuh>

namespace modx::gpu {

/// parts[t] = -log softmax(x_t)[label_t]; gradient (n x c, or null) = (softmax(x) - onehot(label)) / n.  g lanes a row.
template <class T>
__global__ void cross_entropy_rows(std::size_t n, std::size_t c, unsigned g, const T* x, const std::int32_t* label,
                                   double* parts, T* gradient, report_slot* slot) {
  const T share = T(1) / T(n);
  for_rows(n, g, [=](std::size_t t, bool live, unsigned lane) {
    const T* row = x + t * c;
    const std::int32_t own = label[t];
    const T shift = row_max(row, c, g, lane);
    const T s = row_sum<T>(c, g, lane, [=](std::size_t j) { return fast_exp(row[j] - shift); });
    if (!live) return;
    if (gradient) {
      const T scale = share / s;
      for (std::size_t j = lane; j < c; j += g)
        gradient[t * c + j] = fast_exp(row[j] - shift) * scale - (static_cast<std::size_t>(own) == j ? share : T(0));
    }
    if (lane == 0)  // log s is not lost beside a large shift
      parts[t] = checked(slot, t, own, c) ? double(std::log(s) + (shift - row[own])) : double(NAN);
  });
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::cross_entropy(std::size_t n, std::size_t c, const T* x, const std::int32_t* label, T* loss,
                                  T* gradient) {
  if (n == 0 || c == 0) return;
  auto& device = state_->device;
  const unsigned g = gpu::lanes_for(c);
  auto* slot = device.reporter("cross_entropy", c, "label");
  auto* parts = device.template scratch<double>(n);
  device.launch(gpu::cross_entropy_rows<T>, gpu::row_groups(n, g), n, c, g, x, label, parts, gradient, slot);
  device.launch(gpu::sum_of_parts<T>, gpu::geometry{dim3(1), dim3(gpu::block_threads)}, n, 1.0 / double(n), parts,
                loss);
}

}  // namespace modx
