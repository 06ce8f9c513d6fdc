// For the libFuzzer targets: the input, and laws whose breach is a finding.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace modx::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(data), size);
}
inline void law(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace modx::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
