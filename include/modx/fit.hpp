// A stage of training, epoch by epoch: shuffle, accumulate, select the best, stop early; resumable between epochs.
#pragma once
#include <modx/clock.hpp>
#include <modx/evaluate.hpp>
#include <modx/fit_state.hpp>
#include <modx/step_graphs.hpp>
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
  bool graphs = false;                   // steps are recorded and replayed (step_graphs.hpp): modx::cuda, fixed shapes
};

/// One epoch's figures; losses are means of batch means (training) and means over rows (validation; NaN without).
struct epoch_record {
  std::size_t epoch = 0;
  double loss = 0, accuracy = 0, validation_loss = NAN, validation_accuracy = NAN, seconds = 0;
  bool best = false;
};

/// Trains the trainable parameters of `model` on rows of `data` towards `target`; output = forward(bound, x).
template <class M, class O, class L, class D, class F>
class fitter {
  static_assert(check_model<M>());
  using B = typename M::backend_type;
  static_assert(check_data<D, B>());
  static_assert(check_optimizer<O, B>());
  static_assert(check_loss<L, B, labels>());
  static_assert(check_forward<F, M>());
  using T = typename B::scalar;
  M* model_;
  O optimizer_;
  L loss_;
  const D* data_;
  std::vector<std::int32_t> rows_, validation_;
  std::span<const std::int32_t> target_;
  F forward_;
  fit_options options_;
  trained_parameters<B> trained_;
  struct no_graphs {};
  static constexpr bool records = RecordsSteps<B> && GivesBatchesOnDevice<D, B>;
  template <class X, bool>
  struct graphs_of { using type = no_graphs; };
  template <class X>
  struct graphs_of<X, true> { using type = step_graphs<X>; };
  owned<typename graphs_of<B, records>::type> graphs_;

  /// What a step leaves in device memory: the loss, and behind it the class with the largest score of each row.
  struct found {
    const T* data;
    var<B> loss;
  };
  /// Forward; `wanted` are the targets on the device.
  found look(tape<B>& t, var<B> x, labels wanted) const {
    const var<B> y = forward_(model_->bound(), x);
    const var<B> value = loss_(y, wanted);
    const std::size_t n = y.rows();
    T* data = t.template device<T>(1 + (n * sizeof(std::int32_t) + sizeof(T) - 1) / sizeof(T));
    model_->backend().axpy(1, 1, value.data(), 0, data);
    model_->backend().top_k(n, y.cols(), 1, y.data(), reinterpret_cast<std::int32_t*>(data + 1));
    return {data, value};
  }
  static std::size_t bytes_found(std::size_t n) { return sizeof(T) + n * sizeof(std::int32_t); }

  /// Forward and backward on a batch: returns the loss; `bytes` are what look() has found.
  double pass(ids own, ids wanted, std::uint64_t step, T scale, std::vector<std::byte>& bytes) {
    const std::size_t n = own.size();
    bytes.resize(bytes_found(n));
    const auto loss_in = [&] {
      T value;
      std::memcpy(&value, bytes.data(), sizeof value);
      if (!std::isfinite(double(value)))
        throw error("fit '" + options_.name + "', epoch " + std::to_string(epoch() + 1), "a finite loss",
                    std::to_string(double(value)));
      return double(value);
    };
    if constexpr (records) {
      if (graphs_) {
        std::vector<std::int32_t> domain;
        if (!data_->domain.empty())
          for (const auto id : own) domain.push_back(data_->domain[std::size_t(id)]);
        auto& g = *graphs_;
        const auto *row = g.input(0, own), *target = g.input(1, wanted);
        const auto* d = domain.empty() ? nullptr : g.input(2, ids(domain));
        const T* result = g.run({n}, model_->parameters(), [&](tape<B>& t) {
          const auto f = look(t, data_->batch(t, row, d, n), labels{target, n});
          t.backward(f.loss, scale);
          return f.data;
        });
        g.download(bytes.data(), result, bytes.size(), model_->parameters());
        return loss_in();
      }
    }
    auto& t = model_->tape_of_step();
    t.reset();
    t.context.training = true;
    t.context.step = step;
    model_->pack_weights();
    const var<B> x = data_->batch(t, own);
    const auto f = look(t, x, labels{t.input(wanted), n});
    model_->backend().download(bytes.data(), f.data, bytes.size());
    const double value = loss_in();
    t.backward(f.loss, scale);
    return value;
  }

 public:
  using scalar = T;
  using state_type = fit_state<T>;

  fitter(M& model, const O& optimizer, const L& loss, const D& data, std::vector<std::int32_t> rows,
         std::vector<std::int32_t> validation, std::span<const std::int32_t> target, F forward,
         const fit_options& options)
      : model_(&model), optimizer_(optimizer), loss_(loss), data_(&data), rows_(std::move(rows)),
        validation_(std::move(validation)), target_(target), forward_(std::move(forward)), options_(options),
        trained_(model, "fit '" + options.name + "'", options.patience) {
    if (rows_.empty()) throw error("fit '" + options.name + "'", "at least one training row", "none");
    if (validation_.empty() && !options.select_on_training_loss)
      throw error("fit '" + options.name + "'", "validation rows to select on", "none");
    expect_positive("fit", "batch size", static_cast<long long>(options.batch_size));
    expect_equal("fit", "targets", data.size(), target.size());
    data.expect_rows("fit, training", rows_);
    data.expect_rows("fit, validation", validation_);
    if (options.graphs) {
      if (!model.states().empty()) throw error("fit '" + options.name + "', graphs", "a model without ghosts", "one with");
      if constexpr (records) {
        graphs_ = make_owned<step_graphs<B>>(model.backend());
      } else {
        throw error("fit '" + options.name + "', graphs", "a backend that records steps (modx::cuda) and rows of one shape", "others");
      }
    }
  }

  std::size_t epoch() const { return stopping().epoch(); }
  bool done() const { return epoch() >= options_.max_epochs || stopping().stop(); }
  const early_stopping& stopping() const { return trained_.stopping(); }

  /// Trains one epoch and looks at the validation rows.
  epoch_record run_epoch() {
    const double start = monotonic_seconds();
    const std::size_t number = epoch();
    if (options_.optimizer_per_epoch)
      for (auto* p : trained_.list()) p->forget_moments();
    std::vector<std::int32_t> order = rows_;
    shuffle(order, random_stream(options_.seed, "shuffle/" + options_.name, number));

    const std::size_t batch = options_.batch_size;
    const std::size_t accumulation = std::max<std::size_t>(1, options_.virtual_batch_size / batch);
    const std::size_t batches = (order.size() + batch - 1) / batch;
    double loss = 0;
    std::size_t right = 0;
    std::vector<std::int32_t> wanted;
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < batches; ++i) {
      const ids own = ids(order).subspan(i * batch, std::min(batch, order.size() - i * batch));
      wanted.clear();
      for (const auto id : own) wanted.push_back(target_[std::size_t(id)]);
      loss += pass(own, wanted, number * batches + i, T(1.0 / double(accumulation)), bytes);
      for (std::size_t r = 0; r < own.size(); ++r) {
        std::int32_t best;
        std::memcpy(&best, bytes.data() + sizeof(T) + r * sizeof best, sizeof best);
        right += best == wanted[r];
      }
      if ((i + 1) % accumulation == 0 || i + 1 == batches)
        apply_gradients(model_->backend(), model_->parameters(), optimizer_, 1.0, options_.clip_norm);
    }
    model_->tape_of_step().reset();

    epoch_record record;
    record.epoch = number + 1;
    record.loss = loss / double(batches);
    record.accuracy = double(right) / double(order.size());
    if (!validation_.empty()) {
      const auto v = evaluate(*model_, *data_, validation_, target_, forward_);
      record.validation_loss = v.loss, record.validation_accuracy = v.accuracy;
    }
    record.best = trained_.improved(options_.select_on_training_loss ? record.loss : record.validation_loss);
    record.seconds = monotonic_seconds() - start;
    return record;
  }

  /// Puts the best epoch's values back.
  void restore_best() { trained_.restore_best(); }

  /// For a checkpoint between epochs.
  fit_state<T> state() const { return trained_.state(); }
  /// Goes on where `s` was taken: the stage ends with the same bits.  Throws, and changes nothing, unless it is the state of
  /// a stage like this one.
  void restore(const fit_state<T>& s) { trained_.restore(s); }
};

}  // namespace modx
