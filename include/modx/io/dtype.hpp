// The element types of safetensors: names, sizes, and which C++ type may look at them.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace modx::io {

/// All whole-byte types; the sub-byte ones (F4, F6_*) are refused as unsupported_dtype.
enum class dtype : std::uint8_t {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

struct dtype_facts {
  dtype type;
  std::string_view name;
  std::size_t bytes;
};

inline constexpr std::array<dtype_facts, 19> dtype_table = {{{dtype::boolean, "BOOL", 1},
                                                             {dtype::u8, "U8", 1},
                                                             {dtype::i8, "I8", 1},
                                                             {dtype::f8_e5m2, "F8_E5M2", 1},
                                                             {dtype::f8_e4m3, "F8_E4M3", 1},
                                                             {dtype::f8_e8m0, "F8_E8M0", 1},
                                                             {dtype::f8_e4m3fnuz, "F8_E4M3FNUZ", 1},
                                                             {dtype::f8_e5m2fnuz, "F8_E5M2FNUZ", 1},
                                                             {dtype::i16, "I16", 2},
                                                             {dtype::u16, "U16", 2},
                                                             {dtype::f16, "F16", 2},
                                                             {dtype::bf16, "BF16", 2},
                                                             {dtype::i32, "I32", 4},
                                                             {dtype::u32, "U32", 4},
                                                             {dtype::f32, "F32", 4},
                                                             {dtype::c64, "C64", 8},
                                                             {dtype::f64, "F64", 8},
                                                             {dtype::i64, "I64", 8},
                                                             {dtype::u64, "U64", 8}}};

/// "F32" and so on.
constexpr std::string_view name_of(dtype t) { return dtype_table[static_cast<std::size_t>(t)].name; }
/// Bytes of one element.
constexpr std::size_t size_of(dtype t) { return dtype_table[static_cast<std::size_t>(t)].bytes; }
/// The type called `name` in a file, if it is one of ours.
constexpr std::optional<dtype> dtype_named(std::string_view name) {
  for (const auto& d : dtype_table)
    if (d.name == name) return d.type;
  return std::nullopt;
}
/// A type that the format has and this library doesn't: less than a byte an element.
constexpr bool is_sub_byte_dtype(std::string_view name) {
  return name == "F4" || name == "F6_E2M3" || name == "F6_E3M2";
}

/// The C++ type of an element: float for f32, std::uint16_t (the bits) for f16 and bf16.
template <class T>
constexpr bool holds(dtype t);
template <>
constexpr bool holds<float>(dtype t) {
  return t == dtype::f32;
}
template <>
constexpr bool holds<double>(dtype t) {
  return t == dtype::f64;
}
template <>
constexpr bool holds<std::uint8_t>(dtype t) {
  return t == dtype::u8 || t == dtype::boolean;
}
template <>
constexpr bool holds<std::int8_t>(dtype t) {
  return t == dtype::i8;
}
template <>
constexpr bool holds<std::uint16_t>(dtype t) {
  return t == dtype::u16 || t == dtype::f16 || t == dtype::bf16;
}
template <>
constexpr bool holds<std::int16_t>(dtype t) {
  return t == dtype::i16;
}
template <>
constexpr bool holds<std::int32_t>(dtype t) {
  return t == dtype::i32;
}
template <>
constexpr bool holds<std::uint32_t>(dtype t) {
  return t == dtype::u32;
}
template <>
constexpr bool holds<std::int64_t>(dtype t) {
  return t == dtype::i64;
}
template <>
constexpr bool holds<std::uint64_t>(dtype t) {
  return t == dtype::u64;
}

}  // namespace modx::io
