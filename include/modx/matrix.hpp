// Host memory that the user sees: row-major matrices and vectors of labels.  No Eigen, no CUDA.
#pragma once
#include <cstddef>
#include <cstdint>
#include <modx/shape.hpp>
#include <span>
#include <vector>

namespace modx {

/// Row-major rows x cols matrix that owns its storage.
template <class T>
struct matrix {
  std::size_t rows = 0, cols = 0;
  std::vector<T> data;

  matrix() = default;
  matrix(std::size_t r, std::size_t c) : rows(r), cols(c), data(checked_product("matrix", r, c)) {}

  std::span<T> row(std::size_t i) { return {data.data() + i * cols, cols}; }
  std::span<const T> row(std::size_t i) const { return {data.data() + i * cols, cols}; }
  T& operator()(std::size_t i, std::size_t j) { return data[i * cols + j]; }
  const T& operator()(std::size_t i, std::size_t j) const { return data[i * cols + j]; }
  bool operator==(const matrix&) const = default;
};

/// Class ids, domain ids, expert ids.
using ids = std::span<const std::int32_t>;

}  // namespace modx
