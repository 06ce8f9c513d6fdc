// One named tensor of a file, and safe ways to look at its bytes.
#pragma once
#include <bit>
#include <cmath>
#include <cstring>
#include <modx/backend/bfloat16.hpp>
#include <modx/error.hpp>
#include <modx/io/checked.hpp>
#include <modx/io/dtype.hpp>
#include <modx/io/io_error.hpp>
#include <span>
#include <string>
#include <vector>

namespace modx::io {

static_assert(std::endian::native == std::endian::little, "modx: tensor bytes on disk are little-endian");

/// A tensor as it lies in a file: row-major, little-endian; `bytes` belong to somebody else.
struct tensor_entry {
  std::string name;
  io::dtype type;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> bytes;
};

namespace detail {
[[noreturn]] inline void tensor_error(const tensor_entry& t, const std::string& expected,
                                      const std::string& found) {
  throw error("tensor " + show(t.name), expected, found);
}
}  // namespace detail

/// The product of the dimensions; throws on overflow.
inline std::uint64_t element_count(const tensor_entry& t) {
  checked n = 1u;
  for (const auto d : t.shape) n *= d;
  if (!n.ok()) detail::tensor_error(t, "a product of dimensions below 2^64", "more");
  return *n.value();
}

/// The elements where they are; throws if T is not their type or they are not aligned for it.
template <class T>
std::span<const T> view_as(const tensor_entry& t) {
  if (!holds<T>(t.type)) detail::tensor_error(t, "another dtype", std::string(name_of(t.type)));
  if (t.bytes.size() % sizeof(T) != 0)
    detail::tensor_error(t, "whole elements", std::to_string(t.bytes.size()) + " bytes");
  if (reinterpret_cast<std::uintptr_t>(t.bytes.data()) % alignof(T) != 0)
    detail::tensor_error(t, "data aligned to " + std::to_string(alignof(T)) + " bytes", "misaligned data");
  return {reinterpret_cast<const T*>(t.bytes.data()), t.bytes.size() / sizeof(T)};
}

/// Copies the elements, whatever their alignment; throws if T or the count differ, or a BOOL is neither 0
/// nor 1.
template <class T>
void copy_to(const tensor_entry& t, std::span<T> out) {
  if (!holds<T>(t.type)) detail::tensor_error(t, "another dtype", std::string(name_of(t.type)));
  if (t.bytes.size() != out.size_bytes())
    detail::tensor_error(t, std::to_string(out.size_bytes()) + " bytes", std::to_string(t.bytes.size()));
  if (t.type == dtype::boolean)
    for (const auto b : t.bytes)
      if (b > std::byte{1})
        detail::tensor_error(t, "BOOL bytes 0 or 1", std::to_string(static_cast<unsigned>(b)));
  if (!out.empty()) std::memcpy(out.data(), t.bytes.data(), t.bytes.size());
}

using modx::from_bf16, modx::to_bf16;

/// The value of an IEEE half's bits.
inline float from_f16(std::uint16_t bits) {
  const std::uint32_t sign = (std::uint32_t{bits} & 0x8000u) << 16, exponent = (bits >> 10) & 31u,
                      fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -small : small;
}

/// The nearest IEEE half, ties to even; one that is not a number stays so, too large ones become infinite.
inline std::uint16_t to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t size = bits & 0x7fffffffu;
  const auto half = [sign](std::uint32_t v) { return static_cast<std::uint16_t>(sign | v); };
  if (size > 0x7f800000u) return half(0x7e00u);
  if (size >= 0x477ff000u) return half(0x7c00u);  // from 65520 on
  if (size < 0x38800000u) {                       // below 2^-14: a multiple of 2^-24
    const float scaled = std::bit_cast<float>(size) * 0x1p24f;
    return half(static_cast<std::uint32_t>(std::nearbyintf(scaled)));
  }
  return half((size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13);
}

/// The elements of an F32, F16, BF16 or F64 tensor as floats; throws for other dtypes.
inline std::vector<float> to_floats(const tensor_entry& t) {
  std::vector<float> out(t.bytes.size() / size_of(t.type));
  const auto convert = [&]<class T>(T, auto f) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      T v;
      std::memcpy(&v, t.bytes.data() + i * sizeof(T), sizeof(T));
      out[i] = f(v);
    }
  };
  switch (t.type) {
    case dtype::f32:
      convert(float{}, [](float v) { return v; });
      break;
    case dtype::f64:
      convert(double{}, [](double v) { return static_cast<float>(v); });
      break;
    case dtype::f16:
      convert(std::uint16_t{}, from_f16);
      break;
    case dtype::bf16:
      convert(std::uint16_t{}, from_bf16);
      break;
    default:
      detail::tensor_error(t, "F32, F16, BF16 or F64", std::string(name_of(t.type)));
  }
  return out;
}

/// Throws if an F32, F16, BF16 or F64 tensor holds a NaN or an infinity; other dtypes pass.
inline void require_finite(const tensor_entry& t) {
  const auto scan = [&]<class U>(U exponent) {
    for (std::size_t i = 0; i + sizeof(U) <= t.bytes.size(); i += sizeof(U)) {
      U bits;
      std::memcpy(&bits, t.bytes.data() + i, sizeof(U));
      if ((bits & exponent) == exponent)
        detail::tensor_error(t, "finite numbers",
                             "NaN or infinity at element " + std::to_string(i / sizeof(U)));
    }
  };
  if (t.type == dtype::f32) scan(std::uint32_t{0x7f800000u});
  if (t.type == dtype::f64) scan(std::uint64_t{0x7ff0000000000000u});
  if (t.type == dtype::f16) scan(std::uint16_t{0x7c00u});
  if (t.type == dtype::bf16) scan(std::uint16_t{0x7f80u});
}

}  // namespace modx::io
