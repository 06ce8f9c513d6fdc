// What training changes and a checkpoint keeps: values, moments and best values of the trained parameters.
#pragma once
#include <modx/early_stopping.hpp>
#include <modx/model.hpp>
#include <string>
#include <utility>
#include <vector>

namespace modx {

/// Everything a stage needs to go on after an interruption, on the host.
template <class T>
struct fit_state {
  std::size_t epoch = 0, best_epoch = 0;
  double best = 0;
  std::vector<std::pair<std::string, matrix<T>>>
      tensors;  // values, moments ("#m", "#v") and best values ("#best")
  std::vector<std::pair<std::string, std::uint64_t>> updates;
};

/// The trainable parameters of a model and its states, their values at the best epoch, and when that was.
template <Backend B>
class trained_parameters {
  using T = typename B::scalar;
  std::string name_;
  std::size_t patience_;
  early_stopping stopping_;
  std::vector<parameter<B>*> list_;
  std::vector<matrix<T>> best_;

 public:
  /// Forgets moments and gradients of the model; `name` says whose errors these are.
  template <class M>
  trained_parameters(M& model, std::string name, std::size_t patience)
      : name_(std::move(name)), patience_(patience), stopping_(patience) {
    for (auto* p : model.parameters()) {
      p->forget_moments();
      p->gradient_is_fresh = true;
      if (p->trainable()) list_.push_back(p);
    }
    if (list_.empty()) throw error(name_, "at least one trainable parameter", "none");
    list_.insert(list_.end(), model.states().begin(), model.states().end());  // they go where the weights go
  }
  const std::vector<parameter<B>*>& list() const { return list_; }
  const early_stopping& stopping() const { return stopping_; }

  /// Takes the loss of the next epoch; true when it is the best so far, whose values are kept.
  bool improved(double loss) {
    if (!stopping_.improved(loss)) return false;
    best_.clear();
    for (auto* p : list_) best_.push_back(p->host());
    return true;
  }
  /// Puts the best epoch's values back.
  void restore_best() {
    for (std::size_t i = 0; i < best_.size(); ++i) list_[i]->set(best_[i]);
  }

  fit_state<T> state() const {
    fit_state<T> s{stopping_.epoch(), stopping_.best_epoch(), stopping_.best(), {}, {}};
    for (std::size_t i = 0; i < list_.size(); ++i) {
      auto* p = list_[i];
      s.tensors.emplace_back(p->name(), p->host());
      for (int m = 0; m < 2; ++m)
        if (p->has_moment(m)) {
          matrix<T> values(p->rows(), p->cols());
          p->backend().download(values.data.data(), p->moment(m), p->size() * sizeof(T));
          s.tensors.emplace_back(p->name() + (m ? "#v" : "#m"), std::move(values));
        }
      if (i < best_.size()) s.tensors.emplace_back(p->name() + "#best", best_[i]);
      s.updates.emplace_back(p->name(), p->updates);
    }
    return s;
  }
  /// Throws, and changes nothing, unless `s` is the state of the same parameters.
  void restore(const fit_state<T>& s) {
    const std::string where = name_ + ", the saved state";
    const auto find = [&](const parameter<B>& p, const char* suffix) -> const matrix<T>* {
      for (const auto& [name, m] : s.tensors)
        if (name == p.name() + suffix) {
          expect_equal((where + ", '" + name + "'").c_str(), "rows", p.rows(), m.rows);
          expect_equal((where + ", '" + name + "'").c_str(), "columns", p.cols(), m.cols);
          return &m;
        }
      return nullptr;
    };
    if (s.best_epoch > s.epoch)
      throw error(where, "a best epoch up to " + std::to_string(s.epoch), std::to_string(s.best_epoch));
    std::vector<matrix<T>> best;
    std::size_t known = 0;
    for (auto* p : list_) {
      for (const char* part : {"", "#best", "#m", "#v"}) known += find(*p, part) != nullptr;
      for (const char* part : {"", "#best"})
        if (!find(*p, part) && (part[0] == 0 || s.best_epoch > 0))
          throw error(where, "'" + p->name() + part + "'", "none");
      if (s.best_epoch > 0) best.push_back(*find(*p, "#best"));
    }
    expect_equal(where.c_str(), "tensors", known, s.tensors.size());
    for (auto* p : list_) {
      p->set(*find(*p, ""));
      p->forget_moments();
      for (int m = 0; m < 2; ++m)
        if (const auto* values = find(*p, m ? "#v" : "#m"))
          p->backend().upload(p->moment(m), values->data.data(), p->size() * sizeof(T));
      for (const auto& [name, n] : s.updates)
        if (name == p->name()) p->updates = n;
    }
    best_ = std::move(best);
    stopping_ = early_stopping(patience_, s.best, s.best_epoch, s.epoch);
  }
};

}  // namespace modx
