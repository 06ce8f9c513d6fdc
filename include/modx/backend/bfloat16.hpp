// bfloat16, the upper half of a float: on every backend the same bits.
#pragma once
#include <cstdint>
#include <cstring>
#include <modx/backend/activation.hpp>

namespace modx {

/// The value of a bfloat16's bits.
MODX_HD inline float from_bf16(std::uint16_t bits) {
  const std::uint32_t whole = static_cast<std::uint32_t>(bits) << 16;
  float x;
  memcpy(&x, &whole, sizeof x);
  return x;
}

/// The nearest bfloat16, ties to even; NaN stays NaN.
MODX_HD inline std::uint16_t to_bf16(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (x != x) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace modx
