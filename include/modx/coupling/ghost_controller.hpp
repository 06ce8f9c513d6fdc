// When ghosts wake and sleep: saturation s, averaged over a window of training steps, passes a threshold.
// s = orthogonality x unexplained: the experts differ already, and much of the target is not explained.
#pragma once
#include <cmath>
#include <modx/matrix.hpp>
#include <string>

namespace modx::coupling {

/// How ghosts wake, sleep and learn.
struct ghost_rules {
  enum class schedule { gradual, binary, selective };
  enum class rate { same, inverse, complementary };

  double on = 0.3;    // mean saturation above which the next ghost wakes
  double off = 0.03;  // mean saturation below which the last one goes to sleep
  schedule wake =
      schedule::gradual;  // over `ramp` steps; at once; over `ramp` steps, the least redundant first
  std::size_t ramp = 100;
  rate learning_rate = rate::same;  // of an awake ghost, times its level: 1; 1 - r; 0.5 (1 - r) + 0.1
  double background = 0;            // learning rate of a dormant ghost (see loss::ghost_background)
  bool operator==(const ghost_rules&) const = default;

  /// What multiplies the optimiser's learning rate; r = learning rate now / at the start.
  double rate_of(double level, double r) const {
    if (level <= 0) return background;
    return level * (learning_rate == rate::same      ? 1
                    : learning_rate == rate::inverse ? 1 - r
                                                     : 0.5 * (1 - r) + 0.1);
  }
};

/// Decides one layer's levels; a plain value, all its state is here.
struct ghost_controller {
  std::vector<double> level, goal;  // of each ghost; a goal is 0 or 1
  std::vector<double> history;      // saturations, newest last; -1 where there is none yet

  /// Mean saturation over the window, -1 until it is full.
  double mean() const {
    double sum = 0;
    for (const double s : history) {
      if (s < 0) return -1;
      sum += s;
    }
    return history.empty() ? -1 : sum / double(history.size());
  }
  /// One training step.  `redundancy` of each ghost: how like the others it is, for schedule::selective.
  /// Returns the ghost that was woken (i + 1) or put to sleep (-i - 1), else 0.
  int advance(const ghost_rules& rules, double saturation, std::span<const double> redundancy) {
    if (!(rules.off >= 0 && rules.off < rules.on))
      throw error("ghost_rules", "0 <= off < on",
                  std::to_string(rules.off) + " and " + std::to_string(rules.on));
    expect_positive("ghost_rules", "ramp", static_cast<long long>(rules.ramp));
    if (!(saturation >= 0 && saturation < 1e30))
      throw error("ghost_controller", "a saturation >= 0", std::to_string(saturation));
    expect_equal("ghost_controller", "ghosts", level.size(), redundancy.size());
    for (std::size_t i = 1; i < history.size(); ++i) history[i - 1] = history[i];
    if (!history.empty()) history.back() = saturation;
    bool moving = false;
    for (std::size_t i = 0; i < level.size(); ++i) moving = move(i, rules) || moving;
    const double s = mean();
    if (moving || s < 0 || (s >= rules.off && s <= rules.on)) return 0;
    const bool wakes = s > rules.on;
    const std::size_t none = level.size();
    std::size_t chosen =
        none;  // wakes: the first or least redundant one asleep; sleeps: the last or most redundant awake
    for (std::size_t k = 0; k < level.size(); ++k) {
      const std::size_t i = wakes ? k : level.size() - 1 - k;
      if ((goal[i] > 0) == wakes) continue;
      const bool better = chosen != none && rules.wake == ghost_rules::schedule::selective &&
                          (wakes ? redundancy[i] < redundancy[chosen] : redundancy[i] > redundancy[chosen]);
      if (chosen == none || better) chosen = i;
    }
    if (chosen == none) return 0;
    goal[chosen] = wakes;
    for (double& h : history) h = -1;  // what follows is judged anew
    move(chosen, rules);
    return wakes ? int(chosen) + 1 : -int(chosen) - 1;
  }

 private:
  /// One step towards the goal; true while there is some way to go.
  bool move(std::size_t i, const ghost_rules& rules) {
    const double step = rules.wake == ghost_rules::schedule::binary ? 1 : 1 / double(rules.ramp);
    const double left = goal[i] - level[i];
    level[i] = std::fabs(left) < 1.001 * step ? goal[i] : level[i] + (left > 0 ? step : -step);
    return level[i] != goal[i];
  }
};

}  // namespace modx::coupling
