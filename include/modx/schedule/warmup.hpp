// s(step) = (step + 1) / steps * then(0) for step < steps, afterwards then(step - steps).
#pragma once
#include <concepts>
#include <cstdint>
#include <modx/schedule/constant.hpp>

namespace modx::schedule {

/// Linear warm-up before another schedule.
template <class Then = constant>
struct warmup {
  static_assert(requires(const Then then, std::uint64_t step) { { then(step) } -> std::convertible_to<double>; },
                "modx: schedule::warmup goes on with a Schedule: .then needs  double operator()(std::uint64_t step) const");
  std::uint64_t steps = 100;
  Then then{};
  bool operator==(const warmup&) const = default;
  double operator()(std::uint64_t step) const {
    return step < steps ? double(step + 1) / double(steps) * then(0) : then(step - steps);
  }
};

}  // namespace modx::schedule
