// s(step) = value.
#pragma once
#include <cstdint>

namespace modx::schedule {

struct constant {
  double value = 1;
  bool operator==(const constant&) const = default;
  double operator()(std::uint64_t) const { return value; }
};

}  // namespace modx::schedule
