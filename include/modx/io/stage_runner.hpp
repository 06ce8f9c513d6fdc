// Runs the stages of a training plan: progress, log, checkpoints inside a stage, one file per finished stage, resume.
#pragma once
#include <modx/fit.hpp>
#include <modx/io/checkpoint.hpp>
#include <modx/io/interrupt.hpp>
#include <modx/io/model_file.hpp>
#include <modx/io/progress.hpp>

namespace modx::io {

/// Thrown after a checkpoint when Ctrl-C or SIGTERM has been asked for.
class interrupted : public error {
 public:
  explicit interrupted(const std::string& where) : error("interrupted in " + where) {}
};

/// Stages of one run in one folder.  The checkpoint is `training-*.safetensors`, a finished stage `<stage>.safetensors`.
class stage_runner {
  std::filesystem::path folder_;
  checkpoint_store store_;
  progress* bar_;
  std::function<void(const nlohmann::ordered_json&)> log_;
  double interval_;
  bool resume_;
  std::string label_;
  std::filesystem::path source_;
  std::uint64_t step_ = 0;
  std::optional<modx::io::checkpoint> pending_;
  nlohmann::ordered_json seconds_ = nlohmann::ordered_json::object();

 public:
  /// `interval`: least seconds between checkpoints inside a stage.  `label` goes before the stage's name on screen.
  stage_runner(const std::filesystem::path& folder, bool resume, double interval, progress& bar,
               std::function<void(const nlohmann::ordered_json&)> log, std::string label)
      : folder_(folder), store_(folder, "training", 2), bar_(&bar), log_(std::move(log)), interval_(interval),
        resume_(resume), label_(std::move(label)) {
    if (!resume) return;
    try {
      pending_ = store_.load_newest();
    } catch (const io_error& e) {
      if (e.code() != "no_good_checkpoint") throw;
      bar_->note(std::string(e.what()) + ": the stage starts anew");
    }
    if (!pending_) return;
    step_ = pending_->step;
    for (const auto& message : pending_->messages) bar_->note(message);
  }

  /// Seconds of training by stage, this session's and earlier ones' together.
  const nlohmann::ordered_json& seconds() const { return seconds_; }

  /// No stage is trained: each is read from its file in `folder`, of any type that parameters take (shrink.hpp), or it is an error.
  void only_read(std::filesystem::path folder) { source_ = std::move(folder); }

  /// All stages are done: their files stay, the checkpoints go.
  void finish() {
    std::error_code ignored;
    for (const auto step : store_.steps()) std::filesystem::remove(store_.path(step), ignored);
  }

  /// Trains the parameters that match `patterns`, then puts the best epoch's values back and writes them down.
  template <class M, class O, class L, class D, class F>
  void run(const std::string& stage, M& model, std::initializer_list<std::string> patterns, const O& optimizer,
           const L& loss, const D& data, const std::vector<std::int32_t>& rows,
           const std::vector<std::int32_t>& validation, std::span<const std::int32_t> target, F forward,
           fit_options options) {
    options.name = stage;
    auto facts = nlohmann::ordered_json::object();
    if constexpr (requires { optimizer.lr; }) facts["lr"] = optimizer.lr;
    run_fit(stage, model, std::span(patterns.begin(), patterns.size()), rows.size(), options, facts, [&] {
      return fitter(model, optimizer, loss, data, rows, validation, target, std::move(forward), options);
    });
  }

  /// The same for any training by epochs: make() gives what has a fitter's epoch(), done(), run_epoch(), stopping(),
  /// restore_best(), state() and restore().  `samples` are those of an epoch; `facts_of_epoch` join each record.
  template <class M, class F>
  void run_fit(const std::string& stage, M& model, std::span<const std::string> patterns, std::size_t samples,
               const fit_options& options, const nlohmann::ordered_json& facts_of_epoch, F make) {
    model.train_only(patterns);
    if (!source_.empty()) return read_stage(stage, model, source_ / (stage + ".safetensors"));
    const auto file = folder_ / (stage + ".safetensors");
    if (resume_ && std::filesystem::exists(file) && load_finished(stage, model, file)) return;

    auto fit = make();
    double spent = 0;
    if (pending_ && is_of(stage)) {
      spent = restore(fit);
      bar_->note(label_ + stage + ": going on after epoch " + std::to_string(fit.epoch()));
    }
    pending_.reset();
    bar_->begin(label_ + stage, std::int64_t(options.max_epochs), options.patience != 0, std::int64_t(fit.epoch()) + 1);
    auto saved = std::chrono::steady_clock::now();
    while (!fit.done()) {
      const auto e = fit.run_epoch();
      spent += e.seconds;
      bar_->epoch(std::int64_t(e.epoch), std::int64_t(samples), e.loss, e.accuracy);
      nlohmann::ordered_json record{{"stage", stage}, {"epoch", e.epoch}, {"loss", e.loss}, {"acc", e.accuracy}};
      if (!std::isnan(e.validation_loss)) record["val_loss"] = e.validation_loss, record["val_acc"] = e.validation_accuracy;
      record.update(facts_of_epoch);
      record["seconds"] = e.seconds;
      record["best"] = e.best;
      log_(record);
      const auto now = std::chrono::steady_clock::now();
      const bool stop = interrupt::requested();
      if (stop || std::chrono::duration<double>(now - saved).count() >= interval_) {
        save_checkpoint(stage, fit, spent);
        saved = now;
      }
      if (stop) throw interrupted(label_ + stage);
    }
    bar_->end();
    fit.restore_best();
    seconds_[stage] = spent;
    named_values<typename M::scalar> values;
    for (auto* p : detail::kept(model, "*"))
      if (p->trainable() || p->is_state()) values.emplace_back(p->name(), p->host());
    std::map<std::string, std::string> facts{{"stage", stage}, {"best_epoch", std::to_string(fit.stopping().best_epoch())},
                                             {"epochs", std::to_string(fit.epoch())}, {"seconds", std::to_string(spent)}};
    facts["modx.xxh128"] = detail::checkpoint_sum(entries_of(values), facts);
    save_values(file, values, facts);
    if (interrupt::requested()) throw interrupted(label_ + stage);
  }

 private:
  /// Reads a finished stage; throws where its file is missing, damaged or of another model.
  template <class M>
  void read_stage(const std::string& stage, M& model, const std::filesystem::path& file) {
    const safetensors_file content(file);
    const auto& facts = content.metadata();
    if (!verify_checksum(content)) throw io_error("bad_checksum", file, 8, "an xxh128", "none");
    std::size_t count = 0;
    const auto list = detail::kept(model, "*");
    for (auto* p : list) count += p->trainable() || p->is_state();
    expect_equal(file.c_str(), "tensors", count, content.list().size());
    for (auto* p : list)
      if (p->trainable() || p->is_state()) p->set(matrix_of<typename M::scalar>(content.at(p->name())));
    const auto s = facts.find("seconds");
    seconds_[stage] = s == facts.end() ? 0.0 : std::strtod(s->second.c_str(), nullptr);
    bar_->note(label_ + stage + ": done, read from " + file.filename().string());
  }
  /// The same; false, with a message, when the file is damaged.
  template <class M>
  bool load_finished(const std::string& stage, M& model, const std::filesystem::path& file) {
    try {
      read_stage(stage, model, file);
      return true;
    } catch (const io_error& e) {
      if (e.code() == "open_failed" || e.code() == "missing_tensor") throw;
      bar_->note(label_ + stage + ": trained again, " + e.what());
      return false;
    }
  }
  /// Whether the pending checkpoint was taken in this stage.
  bool is_of(const std::string& stage) const {
    const auto& meta = pending_->meta;
    return meta.is_object() && meta.contains("stage") && meta["stage"] == stage;
  }
  template <class Fit>
  void save_checkpoint(const std::string& stage, const Fit& fit, double spent) {
    const auto s = fit.state();
    nlohmann::json meta{{"stage", stage}, {"epoch", s.epoch}, {"best_epoch", s.best_epoch},
                        {"best", std::bit_cast<std::uint64_t>(s.best)}, {"seconds", spent}};
    for (const auto& [name, n] : s.updates) meta["updates"][name] = n;
    store_.save(++step_, entries_of(s.tensors), meta);
  }
  /// Returns the seconds spent before.
  template <class Fit>
  double restore(Fit& fit) {
    const auto& meta = pending_->meta;
    try {
      typename Fit::state_type s;
      s.epoch = meta.at("epoch"), s.best_epoch = meta.at("best_epoch");
      s.best = std::bit_cast<double>(meta.at("best").template get<std::uint64_t>());
      for (const auto& [name, n] : meta.at("updates").items())
        s.updates.emplace_back(name, n.template get<std::uint64_t>());
      for (const auto& t : pending_->file.list()) s.tensors.emplace_back(t.name, matrix_of<typename Fit::scalar>(t));
      fit.restore(s);
      return meta.at("seconds").template get<double>();
    } catch (const nlohmann::json::exception& e) {
      throw error(store_.path(pending_->step).string(), "the state of a stage", e.what());
    }
  }
};

}  // namespace modx::io
