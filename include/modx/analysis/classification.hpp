// Confusion matrix: P = tp / (tp + fp + ε),  R = tp / (tp + fn + ε),  F1 = 2 P R / (P + R + ε),  ε = 1e-12.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <modx/error.hpp>

namespace modx::analysis {

/// Precision, recall and F1 of one class; `support` is how often it is the true one.
struct class_scores {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  std::int64_t support = 0;
  bool operator==(const class_scores&) const = default;
};

/// What a confusion matrix says: macro = mean over the classes with support, weighted = weighted by support.
struct scores {
  double accuracy = 0;
  double macro_precision = 0;
  double macro_recall = 0;
  double macro_f1 = 0;
  double weighted_precision = 0;
  double weighted_recall = 0;
  double weighted_f1 = 0;
  std::vector<class_scores> per_class;
  bool operator==(const scores&) const = default;
};

/// Counts of (true class, predicted class), classes x classes.
class confusion {
 public:
  /// Throws modx::error unless 1 <= classes <= 65536.
  explicit confusion(std::int64_t classes) : classes_(classes) {
    if (classes < 1 || classes > 65536)
      throw error("analysis::confusion", "1 to 65536 classes", std::to_string(classes));
    counts_.resize(static_cast<std::size_t>(classes * classes));
  }

  std::int64_t classes() const noexcept { return classes_; }
  std::int64_t total() const noexcept { return total_; }
  std::int64_t correct() const noexcept {
    std::int64_t n = 0;
    for (std::int64_t c = 0; c < classes_; ++c) n += counts_[at(c, c)];
    return n;
  }

  /// Counts one sample (or `count`); throws modx::error for a class out of range or a negative count.
  void add(std::int64_t truth, std::int64_t predicted, std::int64_t count = 1) {
    counts_[checked(truth, predicted)] += non_negative(count);
    total_ += count;
  }

  /// Counts sample i as (truth[i], predicted[i]); throws modx::error where the sizes differ.
  template <class Label>
  void add(std::span<const Label> truth, std::span<const Label> predicted) {
    if (truth.size() != predicted.size())
      throw error("analysis::confusion::add", std::to_string(truth.size()) + " predictions (one a label)",
                  std::to_string(predicted.size()));
    for (std::size_t i = 0; i < truth.size(); ++i)
      add(static_cast<std::int64_t>(truth[i]), static_cast<std::int64_t>(predicted[i]));
  }

  /// How many samples of class `truth` were called `predicted`; throws modx::error for a class out of range.
  std::int64_t count(std::int64_t truth, std::int64_t predicted) const {
    return counts_[checked(truth, predicted)];
  }

  /// Adds another run's counts; throws modx::error where the number of classes differs.
  confusion& operator+=(const confusion& other) {
    if (other.classes_ != classes_)
      throw error("analysis::confusion", std::to_string(classes_) + " classes",
                  std::to_string(other.classes_));
    std::transform(counts_.begin(), counts_.end(), other.counts_.begin(), counts_.begin(), std::plus<>{});
    total_ += other.total_;
    return *this;
  }

  /// correct / total, 0 without samples.
  double accuracy() const noexcept {
    return total_ == 0 ? 0.0 : static_cast<double>(correct()) / static_cast<double>(total_);
  }

  /// All figures at once; without samples every one is 0.
  scores evaluate() const {
    constexpr double eps = 1e-12;
    scores s{.accuracy = accuracy(), .per_class = {}};
    double present = 0;
    for (std::int64_t c = 0; c < classes_; ++c) {
      std::int64_t support = 0, called = 0;
      for (std::int64_t k = 0; k < classes_; ++k) {
        support += counts_[at(c, k)];
        called += counts_[at(k, c)];
      }
      const auto tp = static_cast<double>(counts_[at(c, c)]);
      const double p = tp / (static_cast<double>(called) + eps);
      const double r = tp / (static_cast<double>(support) + eps);
      const double f1 = 2 * p * r / (p + r + eps);
      s.per_class.push_back({p, r, f1, support});
      if (support == 0) continue;
      const double w = static_cast<double>(support) / static_cast<double>(total_);
      present += 1;
      s.macro_precision += p;
      s.macro_recall += r;
      s.macro_f1 += f1;
      s.weighted_precision += w * p;
      s.weighted_recall += w * r;
      s.weighted_f1 += w * f1;
    }
    if (present > 0)
      for (double* m : {&s.macro_precision, &s.macro_recall, &s.macro_f1}) *m /= present;
    return s;
  }

  bool operator==(const confusion&) const = default;

 private:
  std::size_t at(std::int64_t truth, std::int64_t predicted) const noexcept {
    return static_cast<std::size_t>(truth * classes_ + predicted);
  }
  std::size_t checked(std::int64_t truth, std::int64_t predicted) const {
    for (std::int64_t c : {truth, predicted})
      if (c < 0 || c >= classes_)
        throw error(c == truth ? "analysis::confusion: true class" : "analysis::confusion: predicted class",
                    "0 to " + std::to_string(classes_ - 1), std::to_string(c));
    return at(truth, predicted);
  }
  static std::int64_t non_negative(std::int64_t count) {
    if (count < 0) throw error("analysis::confusion: count", "at least 0", std::to_string(count));
    return count;
  }

  std::int64_t classes_;
  std::int64_t total_ = 0;
  std::vector<std::int64_t> counts_;
};

}  // namespace modx::analysis
