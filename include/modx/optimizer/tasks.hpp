// What an optimiser updates: trainable parameters that have a gradient.
#pragma once
#include <modx/concepts.hpp>
#include <vector>

namespace modx::optimizer {

/// Collects the tensors of one step; `moments` of 0, 1 or 2 are made where missing.  Parameters without a gradient
/// (frozen, or not on the tape since the last update) are left alone, and so are those whose rate is 0.  Gradients count as used afterwards.
template <class B>
std::span<const update_task<typename B::scalar>> take_tasks(std::span<parameter<B>* const> list, int moments,
                                                            std::vector<update_task<typename B::scalar>>& tasks) {
  tasks.clear();
  for (auto* p : list) {
    if (!p->trainable() || !p->gradient()) continue;
    if (p->rate == 0) {
      p->gradient_is_fresh = true;
      continue;
    }
    update_task<typename B::scalar> t;
    t.rate = p->rate;
    t.size = p->size(), t.g = p->gradient(), t.w = p->mutable_value();
    if (moments > 0) t.m = p->moment(0);
    if (moments > 1) t.v = p->moment(1);
    t.step = ++p->updates;
    p->gradient_is_fresh = true;
    tasks.push_back(t);
  }
  return tasks;
}

/// Throws unless low <= value < high; NaN is not.
inline void expect_within(const char* where, const char* what, double value, double low, double high) {
  if (!(value >= low && value < high))
    throw error(where, std::to_string(low) + " <= " + what + " < " + std::to_string(high), std::to_string(value));
}
/// Throws unless value is a finite number.
inline void expect_finite(const char* where, const char* what, double value) {
  if (!std::isfinite(value)) throw error(where, std::string("a finite ") + what, std::to_string(value));
}

/// Euclidean norm of all gradients, times `scale`.
template <class B>
double gradient_norm(B& backend, std::span<parameter<B>* const> list, double scale = 1) {
  static thread_local std::vector<update_task<typename B::scalar>> tasks;
  tasks.clear();
  for (auto* p : list)
    if (p->trainable() && p->gradient()) {
      update_task<typename B::scalar> t;
      t.size = p->size(), t.g = p->gradient();
      tasks.push_back(t);
    }
  return scale * std::sqrt(backend.squared_norm(tasks));
}

}  // namespace modx::optimizer
