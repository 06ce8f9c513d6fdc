// CUDA backend: folding the outputs of experts that stand side by side; y is n x e x m, w is n x e.
#pragma once
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/rows.cuh>

namespace modx::gpu {

/// out (n x m) = sum over experts of w[t, i] y[t, i], in their order; a thread a cell.
template <class T>
__global__ void fold_experts(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* y, T* out) {
  for_cells(n, m, [=](std::size_t t, std::size_t j) {
    T s = 0;
    for (std::size_t i = 0; i < e; ++i) s += w[t * e + i] * y[(t * e + i) * m + j];
    out[t * m + j] = s;
  });
}
/// dy[t, i] = beta dy[t, i] + w[t, i] dout[t]; a thread a cell of dout.
template <class T>
__global__ void unfold_experts(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* dout, T beta, T* dy) {
  for_cells(n, m, [=](std::size_t t, std::size_t j) {
    const T g = dout[t * m + j];
    for (std::size_t i = 0; i < e; ++i) blend(beta, w[t * e + i] * g, dy[(t * e + i) * m + j]);
  });
}
/// dw[t, i] = beta dw[t, i] + <dout[t], y[t, i]>; g lanes a dot product.
template <class T>
__global__ void fold_weights(std::size_t n, std::size_t e, std::size_t m, unsigned g, const T* y, const T* dout, T beta,
                             T* dw) {
  for_rows(n * e, g, [=](std::size_t r, bool live, unsigned lane) {
    const T *a = dout + r / e * m, *b = y + r * m;
    const T s = row_sum<T>(m, g, lane, [=](std::size_t j) { return a[j] * b[j]; });
    if (live && lane == 0) blend(beta, s, dw[r]);
  });
}
/// out[t, i] = beta out[t, i] + sum over j of c_t[i, j] y[t, j] (transposed: c_t[j, i]), c_t = c + t stride; a thread a cell.
template <class T>
__global__ void mix_all(std::size_t n, std::size_t e, std::size_t m, std::size_t stride, bool transposed, const T* c,
                        const T* y, T beta, T* out) {
  for_cells(n * e, m, [=](std::size_t r, std::size_t l) {
    const std::size_t t = r / e, i = r % e;
    const T* row = c + t * stride + (transposed ? i : i * e);
    T s = 0;
    for (std::size_t j = 0; j < e; ++j) s += row[transposed ? j * e : j] * y[(t * e + j) * m + l];
    blend(beta, s, out[r * m + l]);
  });
}
/// c[t, i, j] = beta c[t, i, j] + <a[t, i], b[t, j]>; g lanes a dot product.
template <class T>
__global__ void dot_all(std::size_t n, std::size_t e, std::size_t m, unsigned g, const T* a, const T* b, T beta, T* c) {
  for_rows(n * e * e, g, [=](std::size_t r, bool live, unsigned lane) {
    const T *x = a + r / e * m, *z = b + (r / (e * e) * e + r % e) * m;
    const T s = row_sum<T>(m, g, lane, [=](std::size_t l) { return x[l] * z[l]; });
    if (live && lane == 0) blend(beta, s, c[r]);
  });
}
/// out[t] = y[t, id[t]]; a thread a cell.
template <class T>
__global__ void pick_one(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* y, T* out,
                         report_slot* slot) {
  for_cells(n, m, [=](std::size_t t, std::size_t j) {
    const std::int32_t i = id[t];
    out[t * m + j] = checked(slot, t, i, e) ? y[(t * e + static_cast<std::size_t>(i)) * m + j] : T(NAN);
  });
}
/// dy[t, i] = beta dy[t, i] + (i = id[t]) dout[t]; a thread a cell of dout.
template <class T>
__global__ void unpick_one(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* dout, T beta,
                           T* dy) {
  for_cells(n, m, [=](std::size_t t, std::size_t j) {
    for (std::size_t i = 0; i < e; ++i)
      blend(beta, static_cast<std::size_t>(id[t]) == i ? dout[t * m + j] : T(0), dy[(t * e + i) * m + j]);
  });
}

}  // namespace modx::gpu

namespace modx {

template <class T>
void basic_cuda<T>::weighted_sum(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* y, T* out) {
  if (n && m) state_->device.launch(gpu::fold_experts<T>, gpu::cells(n, m), n, e, m, w, y, out);
}
template <class T>
void basic_cuda<T>::weighted_sum_gradient(std::size_t n, std::size_t e, std::size_t m, const T* w, const T* y,
                                          const T* dout, T beta_w, T* dw, T beta_y, T* dy) {
  const unsigned g = gpu::lanes_for(m);
  if (n * e == 0) return;
  if (dw) state_->device.launch(gpu::fold_weights<T>, gpu::row_groups(n * e, g), n, e, m, g, y, dout, beta_w, dw);
  if (dy && m) state_->device.launch(gpu::unfold_experts<T>, gpu::cells(n, m), n, e, m, w, dout, beta_y, dy);
}
template <class T>
void basic_cuda<T>::mix_experts(std::size_t n, std::size_t e, std::size_t m, std::size_t stride, bool transposed,
                                const T* c, const T* y, T beta, T* out) {
  if (n && e && m)
    state_->device.launch(gpu::mix_all<T>, gpu::cells(n * e, m), n, e, m, stride, transposed, c, y, beta, out);
}
template <class T>
void basic_cuda<T>::dot_experts(std::size_t n, std::size_t e, std::size_t m, const T* a, const T* b, T beta, T* c) {
  const unsigned g = gpu::lanes_for(m);
  if (n && e) state_->device.launch(gpu::dot_all<T>, gpu::row_groups(n * e * e, g), n, e, m, g, a, b, beta, c);
}
template <class T>
void basic_cuda<T>::pick(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* y, T* out) {
  if (n == 0 || m == 0) return;
  auto* slot = state_->device.reporter("pick_expert", e);
  state_->device.launch(gpu::pick_one<T>, gpu::cells(n, m), n, e, m, id, y, out, slot);
}
template <class T>
void basic_cuda<T>::pick_gradient(std::size_t n, std::size_t e, std::size_t m, const std::int32_t* id, const T* dout,
                                  T beta, T* dy) {
  if (n && m) state_->device.launch(gpu::unpick_one<T>, gpu::cells(n, m), n, e, m, id, dout, beta, dy);
}

}  // namespace modx
