// Training of a causal language model on prompt -> answer: loss = -mean log p(answer token | all before it),
// prompts not in it.
#pragma once
#include <modx/fit.hpp>
#include <modx/model/qwen3.hpp>

namespace arithmetic {

/// A Qwen3 small enough to be trained on the spot.
inline modx::qwen3 tiny(std::size_t vocabulary, std::size_t width = 128, std::size_t blocks = 3) {
  return {.vocabulary = vocabulary,
          .width = width,
          .hidden = 3 * width,
          .blocks = blocks,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = (width + 7) / 8 * 2,
          .rotary_base = 1e4};
}

/// Tokens; those of the answer are learned.  The prompt has one at least.
struct causal_example {
  std::vector<std::int32_t> prompt, answer;
};

/// A batch without padding: ids, where its sequences end, and the rows whose next tokens are targets.
struct causal_batch {
  modx::matrix<float> x;                      // n x 1
  std::vector<std::size_t> lengths, answers;  // tokens of each sequence and of its answer
  std::vector<std::int32_t> rows, target;

  causal_batch(const std::vector<causal_example>& all, modx::ids chosen) {
    for (const auto id : chosen) {
      const auto& e = all.at(std::size_t(id));
      if (e.prompt.empty() || e.answer.empty())
        throw modx::error("causal example " + std::to_string(id),
                          "a token of the prompt and one of the answer", "none");
      for (const auto token : e.prompt) x.data.push_back(float(token));
      for (std::size_t i = 0; i < e.answer.size(); ++i) {
        rows.push_back(std::int32_t(x.data.size()) - 1);
        target.push_back(e.answer[i]);
        if (i + 1 < e.answer.size()) x.data.push_back(float(e.answer[i]));
      }
      lengths.push_back(e.prompt.size() + e.answer.size() - 1);
      answers.push_back(e.answer.size());
    }
    x.rows = x.data.size(), x.cols = 1;
  }
  /// Logits of the target rows only: most of a small model's work may be its head.
  template <class Bound, class B>
  modx::var<B> logits(const Bound& net, modx::tape<B>& t, modx::var<B> ids) const {
    const auto h = net.hidden_between(net.embed(ids), 0, net.blocks() + 1);
    return net.logits(modx::ops::take_rows(h, t.input(modx::ids(rows)), rows.size()));
  }
};

/// Training by epochs as modx::fitter does it, of sequences.  Accuracies are shares of examples with every
/// answer token right (given the ones before it); `fit_options::batch_size` counts examples.
template <class M, class O>
class causal_fitter {
  using B = typename M::backend_type;
  M* model_;
  O optimizer_;
  const std::vector<causal_example>* data_;
  std::vector<std::int32_t> rows_, validation_;
  modx::fit_options options_;
  modx::trained_parameters<B> trained_;

  /// Examples of a batch whose targets are all the likeliest.
  static std::size_t right(const modx::matrix<float>& scores, const causal_batch& b) {
    std::size_t count = 0, r = 0;
    for (const auto answer : b.answers) {
      bool all = true;
      for (const auto end = r + answer; r < end; ++r) all = modx::argmax(scores.row(r)) == b.target[r] && all;
      count += all;
    }
    return count;
  }
  modx::ids part(const std::vector<std::int32_t>& order, std::size_t i) const {
    const std::size_t from = i * options_.batch_size;
    return modx::ids(order).subspan(from, std::min(options_.batch_size, order.size() - from));
  }

 public:
  using scalar = typename M::scalar;
  using state_type = modx::fit_state<scalar>;

  causal_fitter(M& model, const O& optimizer, const std::vector<causal_example>& data,
                std::vector<std::int32_t> rows, std::vector<std::int32_t> validation,
                const modx::fit_options& options)
      : model_(&model),
        optimizer_(optimizer),
        data_(&data),
        rows_(std::move(rows)),
        validation_(std::move(validation)),
        options_(options),
        trained_(model, "fit '" + options.name + "'", options.patience) {
    if (rows_.empty())
      throw modx::error("fit '" + options.name + "'", "at least one training example", "none");
    if (validation_.empty() && !options.select_on_training_loss)
      throw modx::error("fit '" + options.name + "'", "validation examples to select on", "none");
    modx::expect_positive("fit", "batch size", static_cast<long long>(options.batch_size));
  }
  std::size_t epoch() const { return stopping().epoch(); }
  bool done() const { return epoch() >= options_.max_epochs || stopping().stop(); }
  const modx::early_stopping& stopping() const { return trained_.stopping(); }
  void restore_best() { trained_.restore_best(); }
  state_type state() const { return trained_.state(); }
  void restore(const state_type& s) { trained_.restore(s); }

  modx::epoch_record run_epoch() {
    const double start = modx::monotonic_seconds();
    const std::size_t number = epoch();
    auto order = rows_;
    modx::shuffle(order, modx::random_stream(options_.seed, "shuffle/" + options_.name, number));
    const std::size_t batches = (order.size() + options_.batch_size - 1) / options_.batch_size;
    const std::size_t accumulation =
        std::max<std::size_t>(1, options_.virtual_batch_size / options_.batch_size);
    modx::epoch_record record;
    record.epoch = number + 1;
    double loss = 0;
    std::size_t hits = 0;
    for (std::size_t i = 0; i < batches; ++i) {
      const causal_batch b(*data_, part(order, i));
      modx::matrix<float> scores;
      loss += modx::train_step(*model_, optimizer_, modx::loss::cross_entropy{}, b.x, b.target,
                               {.accumulation = accumulation,
                                .update = false,
                                .step = number * batches + i,
                                .sequences = b.lengths},
                               [&](const auto& net, auto ids) {
                                 const auto y = b.logits(net, ids.on(), ids);
                                 scores = y.host();
                                 return y;
                               });
      hits += right(scores, b);
      if ((i + 1) % accumulation == 0 || i + 1 == batches)
        modx::apply_gradients(model_->backend(), model_->parameters(), optimizer_, 1.0, options_.clip_norm);
    }
    record.loss = loss / double(batches);
    record.accuracy = double(hits) / double(order.size());
    if (!validation_.empty()) evaluate(record);
    record.best = trained_.improved(options_.select_on_training_loss ? record.loss : record.validation_loss);
    record.seconds = modx::monotonic_seconds() - start;
    return record;
  }

 private:
  /// Loss a target token over all validation examples.
  void evaluate(modx::epoch_record& record) {
    auto& t = model_->tape_of_step();
    const modx::unrecorded<B> quiet(t);
    double loss = 0, tokens = 0;
    std::size_t hits = 0;
    for (std::size_t i = 0; i * options_.batch_size < validation_.size(); ++i) {
      const causal_batch b(*data_, part(validation_, i));
      t.reset();
      t.context.sequence = t.sequences_of(b.lengths);
      const auto y = b.logits(model_->bound(), t, t.input(b.x));
      loss +=
          double(modx::ops::cross_entropy(y, t.input(modx::ids(b.target))).item()) * double(b.target.size());
      tokens += double(b.target.size());
      hits += right(y.host(), b);
    }
    t.reset();
    record.validation_loss = loss / tokens;
    record.validation_accuracy = double(hits) / double(validation_.size());
  }
};
template <class M, class O, class... A>
causal_fitter(M&, const O&, const A&...) -> causal_fitter<M, O>;

}  // namespace arithmetic
