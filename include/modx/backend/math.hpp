// exp for float without libm, in a form that compilers vectorise; double goes to the standard library.
#pragma once
#include <cmath>
#include <cstdint>
#include <modx/backend/activation.hpp>
#include <type_traits>

namespace modx {

/// e^x; float: at most 2 ulp off for |x| < 87, 0 below -87.3, and saturating at 88.7.
template <class T>
MODX_HD inline T fast_exp(T x) {
  if constexpr (std::is_same_v<T, float>) {
    const float clamped = x < -87.3f ? -87.3f : (x > 88.3f ? 88.3f : x);
    const float shifted = clamped * 1.44269504f + 12582912.f;  // round to nearest by adding 1.5 * 2^23
    const float n = shifted - 12582912.f;
    const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    const std::int32_t bits = (__builtin_bit_cast(std::int32_t, shifted) - 0x4B400000 + 127) << 23;
    const float y = p * __builtin_bit_cast(float, bits);
    return x < -87.3f ? 0.f : (x != x ? x : y);
  } else {
    return std::exp(x);
  }
}

}  // namespace modx
