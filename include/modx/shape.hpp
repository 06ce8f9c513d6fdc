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
      throw error("extent", "a size below 2^48 elements", std::to_string(height) + "x" + std::to_string(width) + "x" +
                                                              std::to_string(channels));
    return n;
  }
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
inline std::string to_string(const extent& e) {
  if (e.height == 1 && e.width == 1) return std::to_string(e.channels);
  return std::to_string(e.height) + "x" + std::to_string(e.width) + "x" + std::to_string(e.channels);
}

/// Throws "modx: <where>: expected <n> <what>, found <m>" unless they agree.
inline void expect_equal(const char* where, const char* what, std::size_t expected, std::size_t found) {
  if (expected != found)
    throw error(where, std::to_string(expected) + " " + what, std::to_string(found));
}

/// Throws unless value is positive.
inline void expect_positive(const char* where, const char* what, long long value) {
  if (value <= 0) throw error(where, std::string(what) + " > 0", std::to_string(value));
}

/// Throws unless a module's own width and the one asked for agree; 0 asks for nothing.
inline void expect_width(const char* where, const extent& asked, const extent& own) {
  if (asked.size() && own.size() && asked.size() != own.size())
    throw error(where, to_string(asked) + " columns out (what surrounds it says)", to_string(own));
}

/// a * b, or an error naming `where` when the product does not fit.
inline std::size_t checked_product(const char* where, std::size_t a, std::size_t b) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product) || product > (std::size_t(1) << 48))
    throw error(where, "a size below 2^48 elements", std::to_string(a) + " x " + std::to_string(b));
  return product;
}

}  // namespace modx
