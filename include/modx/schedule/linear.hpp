// s(step) = from + (to - from) min(step / steps, 1).
#pragma once
#include <cstdint>

namespace modx::schedule {

struct linear {
  double from = 1, to = 0;
  std::uint64_t steps = 1000;
  bool operator==(const linear&) const = default;
  double operator()(std::uint64_t step) const {
    const double done = step < steps ? double(step) / double(steps) : 1.0;
    return from + (to - from) * done;
  }
};

}  // namespace modx::schedule
