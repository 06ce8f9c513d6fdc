// How cuBLAS sees the operands of a product, their copies in bfloat16, and weights frozen in it.
#pragma once
#include <modx/backend/bfloat16.hpp>
#include <modx/backend/cuda.hpp>
#include <modx/backend/cuda/loops.cuh>
#include <modx/backend/operations.hpp>

namespace modx::gpu {

/// A row-major view as cuBLAS sees it: as it is, or turned.
template <class T>
struct operand {
  cublasOperation_t op;
  std::size_t ld;

  operand(const matrix_view<T>& v, std::size_t rows, std::size_t cols) {
    const auto down = static_cast<std::size_t>(v.row_stride), right = static_cast<std::size_t>(v.col_stride);
    if (right == 1 && (rows <= 1 || down >= cols)) {
      op = CUBLAS_OP_N, ld = std::max(down, cols);
    } else if (down == 1 && (cols <= 1 || right >= rows)) {
      op = CUBLAS_OP_T, ld = std::max(right, rows);
    } else {
      throw error("gemm", "an operand with one stride of 1 and the other at least a row long",
                  std::to_string(v.row_stride) + " and " + std::to_string(v.col_stride));
    }
    ld = std::max<std::size_t>(ld, 1);
  }
};

/// size / run runs of `run` values, `stride` apart in a matrix of T and side by side in bfloat16; its blocks start at `first`.
template <class T>
struct conversion {
  unsigned first;
  bool back;  // from bfloat16 to T
  std::size_t size, run, stride;
  const void* from;
  void* to;
};

template <class T>
__global__ void convert_matrices(const conversion<T>* list, unsigned count) {
  const conversion<T> e = entry_of_block(list, count);
  for_cells_of_piece(e.first, e.size, e.run, [&](std::size_t q, std::size_t i, std::size_t j) {
    const std::size_t at = i * e.stride + j;
    if (e.back) {
      static_cast<T*>(e.to)[at] = T(from_bf16(static_cast<const std::uint16_t*>(e.from)[q]));
    } else {
      static_cast<std::uint16_t*>(e.to)[q] = to_bf16(static_cast<float>(static_cast<const T*>(e.from)[at]));
    }
  });
}

/// A list of conversions in one launch; keeps its memory, so that a step allocates nothing.
template <class T>
class converter {
  std::vector<conversion<T>> list_;
  std::vector<std::size_t> at_;  // where each copy lies in the memory of run(), or given
  unsigned blocks_ = 0;
  std::size_t bytes_ = 0;
  static constexpr std::size_t given = ~std::size_t(0);

  std::size_t place(std::size_t bytes) {
    const std::size_t at = bytes_;
    bytes_ += (bytes + 255) & ~std::size_t(255);  // tensor cores want 16
    return at;
  }
  std::size_t push(const conversion<T>& c, std::size_t at) {
    list_.push_back(c), at_.push_back(at);
    list_.back().first = blocks_;
    blocks_ += pieces(c.size);
    return at;
  }
  static conversion<T> of(const operand<T>& o, const T* from, std::size_t rows, std::size_t cols) {
    const bool plain = o.op == CUBLAS_OP_N;
    return {0, false, rows * cols, std::max<std::size_t>(plain ? cols : rows, 1), o.ld, from, nullptr};
  }

 public:
  void clear() { list_.clear(), at_.clear(), blocks_ = 0, bytes_ = 0; }
  /// Asks for rows x cols values in bfloat16, side by side; returns where they will be.
  std::size_t round(const operand<T>& o, const T* from, std::size_t rows, std::size_t cols) {
    const auto c = of(o, from, rows, cols);
    for (std::size_t i = 0; i < list_.size(); ++i)  // experts often share their tokens
      if (list_[i].from == from && !list_[i].back && list_[i].size == c.size && list_[i].run == c.run &&
          list_[i].stride == c.stride && at_[i] != given)
        return at_[i];
    return push(c, place(c.size * sizeof(std::uint16_t)));
  }
  void round_to(std::uint16_t* to, const operand<T>& o, const T* from, std::size_t rows, std::size_t cols) {
    auto c = of(o, from, rows, cols);
    c.to = to;
    push(c, given);
  }
  /// Asks for n values of T out of bfloat16 ones.
  std::size_t restore(const std::uint16_t* from, std::size_t n) {
    return push({0, true, n, std::max<std::size_t>(n, 1), 0, from, nullptr}, place(n * sizeof(T)));
  }
  void restore_to(T* to, const std::uint16_t* from, std::size_t n) {
    push({0, true, n, std::max<std::size_t>(n, 1), 0, from, to}, given);
  }
  /// Does it all; returns the memory that the places are in, valid for the next products.
  std::byte* run(context& device) {
    if (list_.empty()) return nullptr;
    auto* const memory = bytes_ ? device.scratch<std::byte>(bytes_) : nullptr;
    for (std::size_t i = 0; i < list_.size(); ++i)
      if (at_[i] != given) list_[i].to = memory + at_[i];
    if (blocks_) {
      const auto* table = device.table(std::span<const conversion<T>>(list_));
      device.launch(convert_matrices<T>, geometry{dim3(blocks_), dim3(block_threads)}, table, static_cast<unsigned>(list_.size()));
    }
    return memory;
  }
};

/// y[t] = column id[t] of a frozen matrix: k values, side by side.
template <class T>
__global__ void gather_each_frozen(std::size_t n, std::size_t k, std::size_t columns, const std::uint16_t* packed,
                                   const std::int32_t* id, T* y, report_slot* slot) {
  for_cells(n, k, [=](std::size_t t, std::size_t l) {
    if (checked(slot, t, id[t], columns)) y[t * k + l] = T(from_bf16(packed[static_cast<std::size_t>(id[t]) * k + l]));
  });
}

}  // namespace modx::gpu

namespace modx {

template <class T>
std::size_t basic_cuda<T>::bf16_panel() {
  return 1;
}
template <class T>
std::size_t basic_cuda<T>::bf16_size(std::size_t k, std::size_t columns) {
  return checked_product("bf16_size", k, columns);
}
template <class T>
std::size_t basic_cuda<T>::bf16_at(std::size_t k, std::size_t l, std::size_t column) {
  return column * k + l;
}
template <class T>
void basic_cuda<T>::pack_bf16(std::size_t k, std::size_t from, std::size_t n, matrix_view<T> b, std::uint16_t* out) {
  std::vector<std::uint16_t> columns(k * n);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t l = 0; l < k; ++l)
      columns[j * k + l] = to_bf16(static_cast<float>(
          b.data[static_cast<std::ptrdiff_t>(l) * b.row_stride + static_cast<std::ptrdiff_t>(j) * b.col_stride]));
  state_->device.upload(out + from * k, columns.data(), columns.size() * sizeof(std::uint16_t));
}
template <class T>
void basic_cuda<T>::unpack_bf16(std::size_t k, std::size_t from, std::size_t n, const std::uint16_t* packed, T* out) {
  auto& list = state_->conversions;
  list.clear();
  list.restore_to(out, packed + from * k, n * k);
  list.run(state_->device);
}
template <class T>
void basic_cuda<T>::gather_bf16(std::size_t n, std::size_t k, std::size_t columns, const std::uint16_t* packed,
                                const std::int32_t* id, T* y) {
  if (n == 0 || k == 0) return;
  auto* slot = state_->device.reporter("take_rows", columns);
  state_->device.launch(gpu::gather_each_frozen<T>, gpu::cells(n, k), n, k, columns, packed, id, y, slot);
}

}  // namespace modx
