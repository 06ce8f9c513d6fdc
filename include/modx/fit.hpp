// A stage of training, epoch by epoch: shuffle, accumulate, select the best, stop early; resumable between epochs.
#pragma once
#include <modx/clock.hpp>
#include <modx/early_stopping.hpp>
#include <modx/evaluate.hpp>
#include <modx/train.hpp>

namespace modx {

/// How a stage is trained.
struct fit_options {
  std::string name = "stage";  // names its random streams
  std::uint64_t seed = 1;
  std::size_t max_epochs = 30;
  std::size_t batch_size = 128;
  std::size_t virtual_batch_size = 128;  // gradients are accumulated up to it
  std::size_t patience = 3;              // epochs without a better loss; 0: never stop early
  bool select_on_training_loss = false;  // else on validation loss
  bool optimizer_per_epoch = false;      // the published RED code rebuilds it every epoch
  double clip_norm = 0;
};

/// One epoch's figures; losses are means of batch means (training) and means over rows (validation).
struct epoch_record {
  std::size_t epoch = 0;
  double loss = 0, accuracy = 0, validation_loss = 0, validation_accuracy = 0, seconds = 0;
  bool best = false;
};

/// Everything a stage needs to go on after an interruption, on the host.
template <class T>
struct fit_state {
  std::size_t epoch = 0, best_epoch = 0;
  double best = 0;
  std::vector<std::pair<std::string, matrix<T>>> tensors;  // values, moments ("#m", "#v") and best values ("#best")
  std::vector<std::pair<std::string, std::uint64_t>> updates;
};

/// Trains the trainable parameters of `model` on rows of `data` towards `target`; output = forward(bound, x).
template <class M, class O, class L, Backend B, class F>
class fitter {
  static_assert(check_model<M>());
  static_assert(check_optimizer<O, B>());
  static_assert(check_loss<L, B, labels>());
  static_assert(check_forward<F, M>());
  using T = typename B::scalar;
  M* model_;
  O optimizer_;
  L loss_;
  const dataset<B>* data_;
  std::vector<std::int32_t> rows_, validation_;
  std::span<const std::int32_t> target_;
  F forward_;
  fit_options options_;
  early_stopping stopping_;
  std::vector<parameter<B>*> trained_;
  std::vector<matrix<T>> best_;

  void keep_best() {
    best_.clear();
    for (auto* p : trained_) best_.push_back(p->host());
  }

 public:
  using scalar = T;
  using state_type = fit_state<T>;

  fitter(M& model, const O& optimizer, const L& loss, const dataset<B>& data, std::vector<std::int32_t> rows,
         std::vector<std::int32_t> validation, std::span<const std::int32_t> target, F forward,
         const fit_options& options)
      : model_(&model), optimizer_(optimizer), loss_(loss), data_(&data), rows_(std::move(rows)),
        validation_(std::move(validation)), target_(target), forward_(std::move(forward)), options_(options),
        stopping_(options.patience) {
    if (rows_.empty()) throw error("fit '" + options.name + "'", "at least one training row", "none");
    if (validation_.empty() && !options.select_on_training_loss)
      throw error("fit '" + options.name + "'", "validation rows to select on", "none");
    expect_positive("fit", "batch size", static_cast<long long>(options.batch_size));
    expect_equal("fit", "targets", data.size(), target.size());
    data.expect_rows("fit, training", rows_);
    data.expect_rows("fit, validation", validation_);
    for (auto* p : model.parameters()) {
      p->forget_moments();
      p->gradient_is_fresh = true;
      if (p->trainable()) trained_.push_back(p);
    }
    if (trained_.empty()) throw error("fit '" + options.name + "'", "at least one trainable parameter", "none");
  }

  std::size_t epoch() const { return stopping_.epoch(); }
  bool done() const { return epoch() >= options_.max_epochs || stopping_.stop(); }
  const early_stopping& stopping() const { return stopping_; }

  /// Trains one epoch and looks at the validation rows.
  epoch_record run_epoch() {
    const double start = monotonic_seconds();
    const std::size_t number = epoch();
    auto& t = model_->tape_of_step();
    if (options_.optimizer_per_epoch)
      for (auto* p : trained_) p->forget_moments();
    std::vector<std::int32_t> order = rows_;
    shuffle(order, random_stream(options_.seed, "shuffle/" + options_.name, number));

    const std::size_t batch = options_.batch_size;
    const std::size_t accumulation = std::max<std::size_t>(1, options_.virtual_batch_size / batch);
    const std::size_t batches = (order.size() + batch - 1) / batch;
    double loss = 0;
    std::size_t right = 0;
    std::vector<std::int32_t> wanted;
    matrix<T> scores;
    for (std::size_t i = 0; i < batches; ++i) {
      const ids own = ids(order).subspan(i * batch, std::min(batch, order.size() - i * batch));
      t.reset();
      t.context.training = true;
      t.context.step = number * batches + i;
      model_->pack_weights();
      const var<B> y = forward_(model_->bound(), data_->batch(t, own));
      wanted.clear();
      for (const auto id : own) wanted.push_back(target_[std::size_t(id)]);
      const var<B> value = loss_(y, labels{t.input(ids(wanted)), wanted.size()});
      const double batch_loss = double(value.item());
      if (!std::isfinite(batch_loss))
        throw error("fit '" + options_.name + "', epoch " + std::to_string(number + 1), "a finite loss",
                    std::to_string(batch_loss));
      loss += batch_loss;
      scores = y.host();
      for (std::size_t r = 0; r < own.size(); ++r) right += argmax(std::as_const(scores).row(r)) == wanted[r];
      t.backward(value, T(1.0 / double(accumulation)));
      if ((i + 1) % accumulation == 0 || i + 1 == batches)
        apply_gradients(model_->backend(), model_->parameters(), optimizer_, 1.0, options_.clip_norm);
    }
    t.reset();

    epoch_record record;
    record.epoch = number + 1;
    record.loss = loss / double(batches);
    record.accuracy = double(right) / double(order.size());
    if (!validation_.empty()) {
      const auto v = evaluate(*model_, *data_, validation_, target_, forward_);
      record.validation_loss = v.loss, record.validation_accuracy = v.accuracy;
    }
    record.best = stopping_.improved(options_.select_on_training_loss ? record.loss : record.validation_loss);
    if (record.best) keep_best();
    record.seconds = monotonic_seconds() - start;
    return record;
  }

  /// Puts the best epoch's values back.
  void restore_best() {
    for (std::size_t i = 0; i < best_.size(); ++i) trained_[i]->set(best_[i]);
  }

  /// For a checkpoint between epochs.
  fit_state<T> state() const {
    fit_state<T> s{stopping_.epoch(), stopping_.best_epoch(), stopping_.best(), {}, {}};
    for (std::size_t i = 0; i < trained_.size(); ++i) {
      auto* p = trained_[i];
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
  /// Goes on where `s` was taken: the stage ends with the same bits.  Throws, and changes nothing, unless it is the state of
  /// a stage like this one.
  void restore(const fit_state<T>& s) {
    const std::string where = "fit '" + options_.name + "', the saved state";
    const auto find = [&](const parameter<B>& p, const char* suffix) -> const matrix<T>* {
      for (const auto& [name, m] : s.tensors)
        if (name == p.name() + suffix) {
          expect_equal((where + ", '" + name + "'").c_str(), "rows", p.rows(), m.rows);
          expect_equal((where + ", '" + name + "'").c_str(), "columns", p.cols(), m.cols);
          return &m;
        }
      return nullptr;
    };
    if (s.best_epoch > s.epoch) throw error(where, "a best epoch up to " + std::to_string(s.epoch), std::to_string(s.best_epoch));
    std::vector<matrix<T>> best;
    std::size_t known = 0;
    for (auto* p : trained_) {
      for (const char* part : {"", "#best", "#m", "#v"}) known += find(*p, part) != nullptr;
      for (const char* part : {"", "#best"})
        if (!find(*p, part) && (part[0] == 0 || s.best_epoch > 0)) throw error(where, "'" + p->name() + part + "'", "none");
      if (s.best_epoch > 0) best.push_back(*find(*p, "#best"));
    }
    expect_equal(where.c_str(), "tensors", known, s.tensors.size());
    for (auto* p : trained_) {
      p->set(*find(*p, ""));
      p->forget_moments();
      for (int m = 0; m < 2; ++m)
        if (const auto* values = find(*p, m ? "#v" : "#m"))
          p->backend().upload(p->moment(m), values->data.data(), p->size() * sizeof(T));
      for (const auto& [name, n] : s.updates)
        if (name == p->name()) p->updates = n;
    }
    best_ = std::move(best);
    stopping_ = early_stopping(options_.patience, s.best, s.best_epoch, s.epoch);
  }
};

}  // namespace modx
