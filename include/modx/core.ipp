// Definitions of the core that are no templates: compiled with the backend, so that no program reads <chrono>
// and Random123 again (they take longer than all of modx).
#pragma once
#include <Random123/philox.h>
#include <chrono>
#include <modx/clock.hpp>
#include <modx/random.hpp>
#include <modx/shape.hpp>

#ifdef MODX_COMPILED
#define MODX_INLINE
#else
#define MODX_INLINE inline
#endif

namespace modx {

MODX_INLINE void extent::refuse(const extent& e) {
  throw error("extent", "a size below 2^48 elements",
              std::to_string(e.height) + "x" + std::to_string(e.width) + "x" + std::to_string(e.channels));
}
MODX_INLINE std::string to_string(const extent& e) {
  if (e.height == 1 && e.width == 1) return std::to_string(e.channels);
  return std::to_string(e.height) + "x" + std::to_string(e.width) + "x" + std::to_string(e.channels);
}
MODX_INLINE void refuse_unequal(const char* where, const char* what, std::size_t expected,
                                std::size_t found) {
  throw error(where, std::to_string(expected) + " " + what, std::to_string(found));
}
MODX_INLINE void refuse_not_positive(const char* where, const char* what, long long value) {
  throw error(where, std::string(what) + " > 0", std::to_string(value));
}
MODX_INLINE void refuse_product(const char* where, std::size_t a, std::size_t b) {
  throw error(where, "a size below 2^48 elements", std::to_string(a) + " x " + std::to_string(b));
}
MODX_INLINE void expect_width(const char* where, const extent& asked, const extent& own) {
  if (asked.size() && own.size() && asked.size() != own.size())
    throw error(where, to_string(asked) + " columns out (what surrounds it says)", to_string(own));
}

MODX_INLINE double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

MODX_INLINE void random_stream::words(std::uint64_t block, std::uint32_t out[4]) const {
  const r123::Philox4x32::ctr_type counter = {
      {std::uint32_t(block), std::uint32_t(block >> 32), stream_[0], stream_[1]}};
  const r123::Philox4x32::key_type key = {{key_[0], key_[1]}};
  const auto r = r123::Philox4x32()(counter, key);
  for (unsigned i = 0; i < 4; ++i) out[i] = r[i];
}

}  // namespace modx
#undef MODX_INLINE
