// Extents of one sample and the shape of a module: what goes in and what comes out.
#pragma once
#include <cstddef>
#include <modx/error.hpp>
#include <string>

namespace modx {

/// Extents of one sample: a plain width, or height x width x channels ("channels last") for images.
struct extent {
  std::size_t height = 1, width = 1, channels = 0;

  constexpr extent() = default;
  constexpr extent(std::size_t features) : channels(features) {}  // implicit: {.in = 784, .out = 10}
  constexpr extent(std::size_t h, std::size_t w, std::size_t c) : height(h), width(w), channels(c) {}

  /// height * width * channels; throws when no tensor can be that large.
  constexpr std::size_t size() const {
    std::size_t n = 0;
    if (__builtin_mul_overflow(height, width, &n) || __builtin_mul_overflow(n, channels, &n) ||
        n > (std::size_t(1) << 48))
      refuse(*this);
    return n;
  }
  [[noreturn]] static void refuse(const extent& e);
  constexpr operator std::size_t() const { return size(); }
  friend constexpr bool operator==(const extent& a, const extent& b) {
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
  }
};

/// Widths of a module: a module maps n x in to n x out.
struct shape {
  extent in, out;
  friend constexpr bool operator==(const shape&, const shape&) = default;
};

/// "28x28x1" or "784".
std::string to_string(const extent& e);

/// Throw "modx: <where>: expected ..., found ...".
[[noreturn]] void refuse_unequal(const char* where, const char* what, std::size_t expected, std::size_t found);
[[noreturn]] void refuse_not_positive(const char* where, const char* what, long long value);
[[noreturn]] void refuse_product(const char* where, std::size_t a, std::size_t b);

/// Throws "modx: <where>: expected <n> <what>, found <m>" unless they agree.
inline void expect_equal(const char* where, const char* what, std::size_t expected, std::size_t found) {
  if (expected != found) refuse_unequal(where, what, expected, found);
}

/// Throws unless value is positive.
inline void expect_positive(const char* where, const char* what, long long value) {
  if (value <= 0) refuse_not_positive(where, what, value);
}

/// Throws unless a module's own width and the one asked for agree; 0 asks for nothing.
void expect_width(const char* where, const extent& asked, const extent& own);

/// a * b, or an error naming `where` when the product does not fit.
inline std::size_t checked_product(const char* where, std::size_t a, std::size_t b) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product) || product > (std::size_t(1) << 48)) refuse_product(where, a, b);
  return product;
}

}  // namespace modx

#ifndef MODX_COMPILED
#include <modx/core.ipp>
#endif
