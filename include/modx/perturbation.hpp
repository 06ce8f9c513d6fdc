// Disturbances of a dense routing, for measuring how much an architecture leans on its router (modx's own experiment).
#pragma once
#include <modx/routing.hpp>

namespace modx {

/// w = softmax(scores + sigma g): Gaussian noise on the logits; then with probability `reroute` the largest weight of
/// a token changes places with that of another expert drawn at random; then the two largest change places.
struct routing_perturbation {
  double sigma = 0;
  double reroute = 0;
  bool swap_top_two = false;
  std::uint64_t seed = 0;

  bool active() const { return sigma != 0 || reroute != 0 || swap_top_two; }
};

/// The routing as the step's context wants it: unchanged unless a perturbation is set.  No gradient flows through
/// perturbed weights: this is for evaluation.
template <class B>
dense_routing<B> perturbed(const dense_routing<B>& r) {
  auto& t = r.weights.on();
  const routing_perturbation* p = t.context.perturbation;
  if (!p || !p->active()) return r;
  using T = typename B::scalar;
  auto z = r.scores.host();
  const std::size_t n = z.rows, e = z.cols;
  const std::uint64_t first = t.context.step * (std::uint64_t(1) << 40);
  const random_stream noise(p->seed, "routing noise"), choice(p->seed, "routing choice");
  for (std::size_t i = 0; i < z.data.size(); ++i) z.data[i] += T(p->sigma * noise.normal(first + i));
  auto weights = p->sigma != 0 ? ops::softmax_rows(t.input(z)).host() : r.weights.host();
  for (std::size_t i = 0; i < n && e > 1; ++i) {
    auto w = weights.row(i);
    const auto largest = [&](std::size_t except) {
      std::size_t best = except == 0 ? 1 : 0;
      for (std::size_t j = 0; j < e; ++j)
        if (j != except && w[j] > w[best]) best = j;
      return best;
    };
    if (choice.uniform(2 * (first + i)) < p->reroute) {
      const std::size_t top = largest(e);
      const std::size_t other = (top + 1 + std::size_t(choice.below(2 * (first + i) + 1, e - 1))) % e;
      std::swap(w[top], w[other]);
    }
    if (p->swap_top_two) {
      const std::size_t top = largest(e);
      std::swap(w[top], w[largest(top)]);
    }
  }
  return {p->sigma != 0 ? logits<B>(t.input(z)) : r.scores, {t.input(weights)}};
}

}  // namespace modx
