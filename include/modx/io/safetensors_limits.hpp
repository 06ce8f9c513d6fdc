// What a safetensors header may ask for, and what it says once parsed, in little memory.
#pragma once
#include <cstdint>
#include <map>
#include <modx/io/dtype.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace modx::io {

/// What a file may ask for before it is believed.
struct safetensors_limits {
  std::uint64_t file = std::uint64_t{1} << 40;
  std::uint64_t header = 100'000'000;
  std::size_t tensors = 1'000'000;
  std::size_t name = 4096;          ///< bytes
  std::size_t rank = 8;             ///< at most 32
  std::size_t metadata = 1u << 20;  ///< bytes of all keys and values
  std::size_t keys = 4096;          ///< of metadata
};

/// The header in 40 bytes per tensor and two pools.
struct safetensors_header {
  struct record {
    std::uint64_t begin = 0, end = 0;  // in the data
    std::uint32_t at = 0;              // of the name, in the header
    std::uint32_t name = 0, dims = 0;  // in the pools
    std::uint16_t name_size = 0;
    std::uint8_t rank = 0;
    dtype type{};
  };
  std::vector<record> records;  // in order of data
  std::string names;
  std::vector<std::uint64_t> dims;
  std::map<std::string, std::string> metadata;

  std::string_view name(const record& r) const { return std::string_view(names).substr(r.name, r.name_size); }
  std::span<const std::uint64_t> shape(const record& r) const {
    return std::span(dims).subspan(r.dims, r.rank);
  }
};

}  // namespace modx::io
