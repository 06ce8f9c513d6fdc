// s(step) = (step + 1) / steps * then(0) for step < steps, afterwards then(step - steps).
#pragma once
#include <cstdint>
#include <modx/schedule/constant.hpp>

namespace modx::schedule {

/// Linear warm-up before another schedule.
template <class Then = constant>
struct warmup {
  std::uint64_t steps = 100;
  Then then{};
  bool operator==(const warmup&) const = default;
  double operator()(std::uint64_t step) const {
    return step < steps ? double(step + 1) / double(steps) * then(0) : then(step - steps);
  }
};

}  // namespace modx::schedule
