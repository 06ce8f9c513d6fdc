// s(step) = to + (from - to) (1 + cos(pi min(step / steps, 1))) / 2   (SGDR without restarts, Loshchilov & Hutter 2017).
#pragma once
#include <cmath>
#include <cstdint>

namespace modx::schedule {

struct cosine {
  double from = 1, to = 0;
  std::uint64_t steps = 1000;
  bool operator==(const cosine&) const = default;
  double operator()(std::uint64_t step) const {
    const double done = step < steps ? double(step) / double(steps) : 1.0;
    return to + (from - to) * 0.5 * (1 + std::cos(3.141592653589793 * done));
  }
};

}  // namespace modx::schedule
