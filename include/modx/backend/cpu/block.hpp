// What the ways to compute a block of a product share: how it is cut, its ending, memory for copies of a.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "modx/backend/cpu/product.hpp"
#include "modx/backend/cpu/tile.hpp"

namespace modx::kernels::detail {

/// How a product is cut: rows of c and panels of b per task.
struct cut {
  std::size_t rows = 0, row_blocks = 0, panels = 0, panel_blocks = 0;
};

/// Where rows i.. and columns j.. of a product go; the ending belongs to the last block of k.
template <class T>
target<T> target_of(const product<T>& p, std::size_t i, std::size_t j, std::size_t cols, bool first, bool last) {
  target<T> to{first ? p.beta : T(1), p.c + i * p.ldc + j, p.ldc, cols};
  if (last) {
    to.bias = p.bias ? p.bias + j : nullptr;
    to.act = p.act;
    to.pre = p.pre ? p.pre + i * p.ldc + j : nullptr;
    to.gate = p.gate ? p.gate + i * p.ldc + j : nullptr;
  }
  return to;
}

/// Memory of n values for a task's copies of rows of a: the thread's own, on a line of 64 bytes.
template <class T>
T* memory_of_copy(std::size_t n) {
  static thread_local std::vector<T> memory;
  constexpr std::size_t line = 64 / sizeof(T);
  if (memory.size() < n + line) memory.resize(n + line);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
  return memory.data() + (past ? (64 - past) / sizeof(T) : 0);
}

}  // namespace modx::kernels::detail
