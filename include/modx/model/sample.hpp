// The next token from a row of logits: greedy, or drawn from softmax(logits / temperature) cut to the k likeliest and to the
// fewest tokens that together reach probability p (nucleus sampling, Holtzman et al. 2020).
#pragma once
#include <algorithm>
#include <cmath>
#include <modx/error.hpp>
#include <modx/random.hpp>
#include <span>
#include <string>
#include <vector>

namespace modx {

struct sampling {
  double temperature = 0;  // 0: the likeliest, ties to the lowest id
  std::size_t top_k = 0;   // 0: all
  double top_p = 1;
  bool operator==(const sampling&) const = default;
};

/// `u`: uniform in [0, 1).  Throws where no logit is a number, or the settings are out of range.
inline std::int32_t sample(std::span<const float> logits, const sampling& s, double u) {
  if (!(s.temperature >= 0) || !(s.top_p > 0 && s.top_p <= 1))
    throw error("sample", "temperature >= 0 and 0 < top_p <= 1",
                std::to_string(s.temperature) + " and " + std::to_string(s.top_p));
  std::size_t best = logits.size();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) throw error("sample, logit " + std::to_string(i), "a number", "NaN");
    if (best == logits.size() || logits[i] > logits[best]) best = i;
  }
  if (best == logits.size()) throw error("sample", "at least one logit", "none");
  if (!std::isfinite(logits[best])) throw error("sample", "a finite largest logit", std::to_string(logits[best]));
  if (s.temperature == 0) return static_cast<std::int32_t>(best);
  struct candidate {
    float logit;
    std::int32_t id;
  };
  std::vector<candidate> list(logits.size());
  for (std::size_t i = 0; i < list.size(); ++i) list[i] = {logits[i], static_cast<std::int32_t>(i)};
  const auto likelier = [](const candidate& a, const candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  const std::size_t k = s.top_k && s.top_k < list.size() ? s.top_k : list.size();
  std::partial_sort(list.begin(), list.begin() + std::ptrdiff_t(k), list.end(), likelier);
  list.resize(k);
  std::vector<double> weight(k);
  double total = 0;
  for (std::size_t i = 0; i < k; ++i)
    total += weight[i] = std::exp((double(list[i].logit) - double(list[0].logit)) / s.temperature);
  std::size_t kept = 0;
  double reached = 0;
  while (kept < k && (kept == 0 || reached < s.top_p * total)) reached += weight[kept++];
  double left = u * reached;
  for (std::size_t i = 0; i < kept; ++i)
    if ((left -= weight[i]) < 0) return list[i].id;
  return list[kept - 1].id;
}

}  // namespace modx
