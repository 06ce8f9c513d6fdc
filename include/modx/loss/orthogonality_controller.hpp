// s_l = clamp(initial depth^l T(t) b_l): layer l's strength, adapted every `every` steps to how different its
// experts are: b_l grows by 1.5 below the target, shrinks by 0.7 above it, and doubles when experts collapse.
#pragma once
#include <cmath>
#include <modx/shape.hpp>
#include <vector>

namespace modx::loss {

struct orthogonality_rules {
  enum class schedule { constant, cosine, exponential, linear, step };

  double initial = 0.1, lowest = 0.001, highest = 0.3;
  double depth = 0.8;                 // of each layer's strength to that before it
  schedule decay = schedule::cosine;  // T(t), from 1 down to `lowest` after 20 adaptations
  std::uint64_t every = 500;
  double target = 0.95, tolerance = 0.02;  // of a layer's score
  std::size_t window = 10;                 // adaptations that collapse and plateau are judged over
  double collapse = 0.1;                   // fall of the mean score over the window
  double plateau = 0.01;  // relative gain in loss of its second half over the first that is none
  double emergency = 2;   // collapsing, and still learning: all strengths times this
  bool operator==(const orthogonality_rules&) const = default;
};

/// A plain value: what it knows is in its members, for checkpoints.
struct orthogonality_controller {
  orthogonality_rules rules{};
  std::vector<double> boosts;          // b_l
  std::vector<double> scores, losses;  // of the last adaptations, at most `window`
  std::uint64_t step = 0;              // of the last adaptation
  bool collapsed = false, plateaued = false;

  orthogonality_controller(std::size_t layers, const orthogonality_rules& r = {})
      : rules(r), boosts(layers, 1.0) {
    if (!(r.lowest > 0 && r.lowest <= r.highest))
      throw error("orthogonality_rules", "0 < lowest <= highest",
                  std::to_string(r.lowest) + " and " + std::to_string(r.highest));
    if (r.every == 0 || r.window < 2) throw error("orthogonality_rules", "every > 0 and window > 1", "less");
  }
  bool operator==(const orthogonality_controller&) const = default;

  bool emergency() const { return collapsed && !plateaued; }
  double decayed() const {
    using kind = orthogonality_rules::schedule;
    const double p = std::fmin(1, double(step) / (20 * double(rules.every)));
    switch (rules.decay) {
      case kind::cosine:
        return rules.lowest + (1 - rules.lowest) * (1 + std::cos(3.14159265358979323846 * p)) / 2;
      case kind::exponential:
        return std::fmax(rules.lowest, std::exp(-1e-4 * double(step)));
      case kind::linear:
        return std::fmax(rules.lowest, 1 - p);
      case kind::step:
        return std::fmax(rules.lowest, std::pow(0.5, std::floor(double(step) / (5 * double(rules.every)))));
      default:
        return 1;
    }
  }
  /// s_l for loss::orthogonality.
  std::vector<double> strengths() const {
    std::vector<double> s;
    for (std::size_t l = 0; l < boosts.size(); ++l) s.push_back(strength(l));
    return s;
  }
  /// To be called after every training step: adapts at multiples of `every` and says whether it has.  `score`
  /// of each layer is a specialisation in [0, 1] of its outputs (weights are near 1 from the start); `loss`
  /// that of the evaluation, or the step.
  bool advance(std::uint64_t at, const std::vector<double>& score, double loss) {
    if (at == 0 || at % rules.every) return false;
    expect_equal("orthogonality_controller", "scores (one a layer)", boosts.size(), score.size());
    step = at;
    double mean = 0;
    for (const double s : score) {
      if (!(s >= 0 && s <= 1))
        throw error("orthogonality_controller", "scores from 0 to 1", std::to_string(s));
      mean += s / double(score.size());
    }
    keep(scores, mean), keep(losses, loss);
    collapsed = scores.front() - scores.back() > rules.collapse;
    plateaued = losses.size() == rules.window && !(gain() >= rules.plateau);
    for (std::size_t l = 0; l < boosts.size(); ++l) {
      const double way = score[l] < rules.target - rules.tolerance   ? 1.5
                         : score[l] > rules.target + rules.tolerance ? 0.7
                                                                     : 1;
      boosts[l] *= way * (emergency() ? rules.emergency : 1);
      boosts[l] = strength(l) / base(l);  // what the limits cut off is not owed
    }
    return true;
  }

 private:
  double base(std::size_t l) const { return rules.initial * std::pow(rules.depth, double(l)) * decayed(); }
  double strength(std::size_t l) const {
    return std::fmin(std::fmax(base(l) * boosts[l], rules.lowest), rules.highest);
  }
  void keep(std::vector<double>& list, double x) const {
    if (list.size() == rules.window) list.erase(list.begin());
    list.push_back(x);
  }
  /// Relative improvement of the losses' second half over the first.
  double gain() const {
    const std::size_t half = losses.size() / 2;
    double first = 0, second = 0;
    for (std::size_t i = 0; i < half; ++i) first += losses[i], second += losses[losses.size() - 1 - i];
    return (first - second) / std::fabs(first);
  }
};

}  // namespace modx::loss
