// mean = Σ xᵢ / n,   sd = √(Σ (xᵢ - mean)² / (n - 1)): what a table says of several seeds.
#pragma once
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include <modx/error.hpp>

namespace modx::analysis {

/// A figure over several seeds; the sd of one value is 0, and `spread()` says that it means nothing.
struct summary {
  double mean = 0;
  double sd = 0;
  std::vector<double> values;

  /// Whether there are enough values for `sd` to say anything.
  bool spread() const noexcept { return values.size() > 1; }
  bool operator==(const summary&) const = default;
};

/// Σ xᵢ / n; throws modx::error where there is no value.
inline double mean(std::span<const double> x) {
  if (x.empty()) throw error("analysis::mean", "at least one value", "none");
  double sum = 0;
  for (double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

/// The sample standard deviation (divisor n - 1), 0 for one value; throws modx::error where there is none.
inline double sample_sd(std::span<const double> x) {
  const double centre = mean(x);
  if (x.size() == 1) return 0;
  double sum = 0;
  for (double v : x) sum += (v - centre) * (v - centre);
  return std::sqrt(sum / static_cast<double>(x.size() - 1));
}

/// Mean, sample standard deviation and the values themselves; throws modx::error where there is none.
inline summary summarize(std::vector<double> values) {
  summary s{.mean = mean(values), .sd = sample_sd(values), .values = {}};
  s.values = std::move(values);
  return s;
}

}  // namespace modx::analysis
