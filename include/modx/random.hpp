// Counter-based random numbers (Philox4x32-10, Salmon et al. 2011, Random123): value = f(seed, purpose, counter).
// Nothing to save, nothing to share: the same numbers at any thread count, after a resume, and on every backend.
#pragma once
#include <cmath>
#include <cstdint>
#include <string_view>

namespace modx {

/// FNV-1a from a start of its own (pinned: seeds keep their meaning), for turning names of purposes and parameters
/// into keys.
constexpr std::uint64_t name_hash(std::string_view name) {
  std::uint64_t h = 1469598103934665603ull;
  for (char c : name) h = (h ^ std::uint8_t(c)) * 1099511628211ull;
  return h;
}

/// Random numbers for one purpose; element i of a stream is the same whoever asks for it, in any order.
class random_stream {
  std::uint32_t key_[2];
  std::uint32_t stream_[2];

 public:
  random_stream(std::uint64_t seed, std::string_view purpose, std::uint64_t step = 0) {
    const std::uint64_t key = seed * 0x9E3779B97F4A7C15ull ^ name_hash(purpose);
    key_[0] = std::uint32_t(key);
    key_[1] = std::uint32_t(key >> 32);
    stream_[0] = std::uint32_t(step);
    stream_[1] = std::uint32_t(step >> 32);
  }

  /// Four words of block `block`.
  void words(std::uint64_t block, std::uint32_t out[4]) const;
  std::uint32_t word(std::uint64_t i) const {
    std::uint32_t w[4];
    words(i / 4, w);
    return w[i % 4];
  }
  /// Uniform in [0, 1), 24 bits.
  double uniform(std::uint64_t i) const { return (word(i) >> 8) * 0x1p-24; }
  /// Standard normal by Box-Muller on words 2i and 2i + 1.
  double normal(std::uint64_t i) const {
    const double u = (double(word(2 * i)) + 0.5) * 0x1p-32, v = double(word(2 * i + 1)) * 0x1p-32;
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }
  /// Integer in [0, n) by multiply-shift on 32 bits; n < 2^32.
  std::uint64_t below(std::uint64_t i, std::uint64_t n) const { return (std::uint64_t(word(i)) * n) >> 32; }
};

/// Fisher-Yates shuffle with draws from `stream`.
template <class Range>
void shuffle(Range& range, const random_stream& stream) {
  for (std::size_t i = range.size(); i > 1; --i) {
    using std::swap;
    swap(range[i - 1], range[std::size_t(stream.below(i, i))]);
  }
}

}  // namespace modx

#ifndef MODX_COMPILED
#include <modx/core.ipp>
#endif
