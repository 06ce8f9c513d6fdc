// Packs right operands of products, many at once: in panels of T, or of bfloat16.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "modx/backend/cpu/bf16_panels.hpp"
#include "modx/backend/cpu/panel.hpp"
#include "modx/backend/cpu/thread_pool.hpp"
#include "modx/backend/operations.hpp"

namespace modx::kernels {

/// How a packing is cut: panels, panels in a task, tasks.
struct pack_cut {
  std::size_t panels, group, tasks;
  pack_cut(std::size_t k, std::size_t n, std::size_t width) {
    panels = (n + width - 1) / width;
    group = std::max<std::size_t>(1, 32768 / (k * width + 1));
    tasks = (panels + group - 1) / group;
  }
};

/// Copies each b (k x n) into panels, padded with zeros, all at once; `out` should be 64-byte aligned.  `rounded`: into panels
/// of bfloat16, but for the tasks that are to be exact.
template <class T>
void pack(thread_pool& pool, std::span<const pack_task<T>> list, bool rounded = false) {
  const auto in_bf16 = [rounded](const pack_task<T>& m) { return rounded && !m.exact; };
  const auto cut_of = [=](const pack_task<T>& m) { return pack_cut(m.k, m.n, in_bf16(m) ? bf16_width<T> : panel_width<T>); };
  std::size_t tasks = 0;
  for (const pack_task<T>& m : list) {
    detail::check("pack", m.k, m.n, view<T>{m.b.data, m.b.row_stride, m.b.col_stride});
    tasks += cut_of(m).tasks;
  }
  pool.run(tasks, [=](std::size_t task) {
    auto m = list.begin();
    for (std::size_t own; task >= (own = cut_of(*m).tasks); ++m) task -= own;
    const pack_cut cut = cut_of(*m);
    const view<T> b{m->b.data, m->b.row_stride, m->b.col_stride};
    const bf16_pack<T> halves{m->k, 0, m->n, b, reinterpret_cast<std::uint16_t*>(m->out)};
    constexpr std::size_t width = panel_width<T>;
    for (std::size_t p = task * cut.group; p < std::min(cut.panels, (task + 1) * cut.group); ++p) {
      if (in_bf16(*m)) {
        halves.run(p);
        continue;
      }
      view<T> columns = b;
      if (columns.data) columns.data += static_cast<std::ptrdiff_t>(p * width) * columns.col_stride;
      detail::pack_panel(m->k, std::min(width, m->n - p * width), width, columns, m->out + p * m->k * width);
    }
  });
}
template <class T>
void pack(thread_pool& pool, std::size_t k, std::size_t n, view<T> b, T* out) {
  const pack_task<T> one{k, n, {b.data, b.row_stride, b.col_stride}, out};
  pack(pool, std::span<const pack_task<T>>(&one, 1));
}

}  // namespace modx::kernels
