// Ghosts in training: prepare_ghosts() before a step sets their learning rates, advance_ghosts() after it
// moves their levels.
#pragma once
#include <modx/coupling/ghost.hpp>
#include <modx/coupling/ghost_controller.hpp>
#include <modx/model.hpp>

namespace modx {

/// One mixture's ghosts after a training step.
struct ghost_report {
  std::string mixture;               // path of its parameters: "", "blocks.3."
  double orthogonality = 1;          // of its own experts' outputs over the tokens: 1 - mean cos^2
  double saturation = 0, mean = -1;  // of this step; over the window, -1 until it is full
  int change = 0;                    // i + 1: ghost i was woken; -i - 1: put to sleep
  std::vector<double> level;
};

namespace detail {
inline constexpr std::string_view ghost_levels = "coupling.ghosts.levels";
/// f(path of a mixture, levels) for each mixture with ghosts.
template <class M, class F>
void for_ghosts(M& model, F&& f) {
  bool any = false;
  for (auto* p : model.states())
    if (p->name().ends_with(ghost_levels)) {
      f(p->name().substr(0, p->name().size() - ghost_levels.size()), *p);
      any = true;
    }
  if (!any) throw error("ghosts", "a mixture with .coupling = coupling::ghost{...}", "none");
}
}  // namespace detail

/// Learning rates of the ghosts' parameters by their levels; r = learning rate now / at the start.
template <class M>
void prepare_ghosts(M& model, const coupling::ghost_rules& rules, double r = 1) {
  detail::for_ghosts(model, [&](const std::string& path, const auto& levels) {
    const auto at = levels.host();
    const std::size_t own = model.find(path + "coupling.ghosts.gram").rows() - at.cols;
    for (std::size_t i = 0; i < at.cols; ++i) {
      const std::string name = path + "experts." + std::to_string(own + i) + ".";
      for (auto* p : model.parameters())
        if (p->name().starts_with(name)) p->rate = rules.rate_of(double(at(0, i)), r);
    }
  });
}

/// Measures, decides and moves levels after a training step; never call it in an evaluation.  `unexplained`
/// is the step's loss over the loss of a trivial answer: mean square error / variance of the targets,
/// cross-entropy / log(classes).
template <class M>
std::vector<ghost_report> advance_ghosts(M& model, const coupling::ghost_rules& rules, double unexplained) {
  using T = typename M::scalar;
  std::vector<ghost_report> out;
  detail::for_ghosts(model, [&](const std::string& path, auto& levels) {
    auto &past = model.find(path + "coupling.ghosts.history"),
         &gram = model.find(path + "coupling.ghosts.gram");
    auto at = levels.host(), history = past.host();
    const auto alike = gram.host();
    const std::size_t g = at.cols, e = alike.rows, own = e - g;
    const auto cosine = [&](std::size_t i, std::size_t j) {
      const double norms = std::sqrt(double(alike(i, i)) * double(alike(j, j)));
      return norms > 0 ? double(alike(i, j)) / norms : 0;
    };
    ghost_report r;
    r.mixture = path;
    for (std::size_t i = 0; i < own; ++i)
      for (std::size_t j = 0; j < own; ++j)
        if (i != j) r.orthogonality -= cosine(i, j) * cosine(i, j) / double(own * (own - 1));
    r.saturation = r.orthogonality * unexplained;
    std::vector<double> redundancy(g, 0.0);
    for (std::size_t i = 0; i < g; ++i)
      for (std::size_t j = 0; j < e; ++j)
        if (j != own + i && (j < own || at(0, j - own) > 0))
          redundancy[i] = std::fmax(redundancy[i], std::fabs(cosine(own + i, j)));
    coupling::ghost_controller c;
    c.level.assign(at.data.begin(), at.data.begin() + std::ptrdiff_t(g));
    c.goal.assign(at.data.begin() + std::ptrdiff_t(g), at.data.end());
    c.history.assign(history.data.begin(), history.data.end());
    r.change = c.advance(rules, r.saturation, redundancy);
    for (std::size_t i = 0; i < g; ++i) at(0, i) = T(c.level[i]), at(1, i) = T(c.goal[i]);
    for (std::size_t i = 0; i < history.cols; ++i) history(0, i) = T(c.history[i]);
    levels.set(at), past.set(history);
    r.mean = c.mean(), r.level = c.level;
    out.push_back(std::move(r));
  });
  return out;
}

}  // namespace modx
