// Stops a stage when its loss has not improved for `patience` epochs.
#pragma once
#include <cstddef>
#include <limits>

namespace modx {

/// Strict improvement resets the counter (the published protocol, and the usual one).
class early_stopping {
  std::size_t patience_, bad_ = 0, best_epoch_ = 0, epoch_ = 0;
  double best_ = std::numeric_limits<double>::infinity();

 public:
  /// `patience` 0 never stops.
  explicit early_stopping(std::size_t patience) : patience_(patience) {}
  early_stopping(std::size_t patience, double best, std::size_t best_epoch, std::size_t epoch)
      : patience_(patience), bad_(epoch - best_epoch), best_epoch_(best_epoch), epoch_(epoch), best_(best) {}

  /// Takes the loss of the next epoch; true when it is the best so far.
  bool improved(double loss) {
    ++epoch_;
    if (loss < best_) {
      best_ = loss, best_epoch_ = epoch_, bad_ = 0;
      return true;
    }
    ++bad_;
    return false;
  }
  bool stop() const { return patience_ && bad_ >= patience_; }
  double best() const { return best_; }
  std::size_t best_epoch() const { return best_epoch_; }
  std::size_t epoch() const { return epoch_; }
  std::size_t bad_epochs() const { return bad_; }
};

}  // namespace modx
