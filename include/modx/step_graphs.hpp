// Forward and backward passes of fixed shapes, recorded once and replayed: a step then costs the device one launch.
// The update stays outside: learning rates and bias corrections change from step to step.
#pragma once
#include <modx/train.hpp>

namespace modx {

/// A backend that records what it is asked for: modx::cuda, as CUDA graphs.
template <class B>
concept RecordsSteps = requires(B& b, const typename B::recording& r) { b.replay(r); };

/// The recorded passes of one model, one loss and one forward.  Each shape is run once (a rehearsal), recorded the second
/// time, and replayed from then on; another shape, other trainable parameters or gradients that accumulate are another
/// recording.  What waits for the device (top-k routing, load_balance, item()) or draws random numbers throws.
template <RecordsSteps B>
class step_graphs {
  using T = typename B::scalar;
  struct entry {
    std::vector<std::size_t> shape;
    std::vector<char> before, after;  // of each parameter: trainable, gradient is fresh
    std::size_t blocks = 0;           // the tape's allocations when it was rehearsed
    typename B::rehearsal needs{};
    typename B::recording recording{};
    const T* result = nullptr;
  };
  struct input_buffer {
    void* data = nullptr;
    std::size_t bytes = 0;
  };
  B* backend_;
  tape<B> tape_;
  std::vector<entry> entries_;
  input_buffer inputs_[3];
  std::size_t replays_ = 0;

  static std::vector<char> state(std::span<parameter<B>* const> list) {
    std::vector<char> s;
    for (const auto* p : list) s.push_back(char(2 * p->trainable() + p->gradient_is_fresh));
    return s;
  }
  static void set_fresh(std::span<parameter<B>* const> list, const std::vector<char>& s) {
    for (std::size_t i = 0; i < list.size(); ++i) list[i]->gradient_is_fresh = s[i] % 2;
  }
  entry& entry_of(const std::vector<std::size_t>& shape, std::vector<char> before) {
    for (auto& e : entries_)
      if (e.shape == shape && e.before == before) return e;
    entries_.push_back({shape, std::move(before), {}});
    return entries_.back();
  }

 public:
  explicit step_graphs(B& backend) : backend_(&backend), tape_(backend) {}
  step_graphs(const step_graphs&) = delete;
  ~step_graphs() {
    for (auto& i : inputs_)
      if (i.data) backend_->deallocate(i.data, i.bytes);
  }

  /// How often a recording was replayed.
  std::size_t replays() const { return replays_; }

  /// Host values in device memory of their own, which recordings read: places 0, 1 and 2.
  template <class U>
  const U* input(std::size_t place, std::span<const U> values) {
    auto& i = inputs_[place];
    if (i.bytes < values.size_bytes()) {
      entries_.clear();
      if (i.data) backend_->deallocate(std::exchange(i.data, nullptr), i.bytes);
      i.data = memory_of(*backend_, values.size_bytes(), "step_graphs");
      i.bytes = values.size_bytes();
    }
    backend_->upload(i.data, values.data(), values.size_bytes());
    return static_cast<const U*>(i.data);
  }

  /// Copies a step's results to the host; throws what its kernels have reported, and forgets its gradients then.
  void download(void* host, const T* result, std::size_t bytes, std::span<parameter<B>* const> list) {
    try {
      backend_->download(host, result, bytes);
    } catch (...) {
      for (auto* p : list) p->gradient_is_fresh = true;
      throw;
    }
  }

  /// Runs, records or replays work(tape), whose gradients are those of `list`; it returns device memory of the tape.
  template <class F>
  const T* run(const std::vector<std::size_t>& shape, std::span<parameter<B>* const> list, F&& work) {
    auto& e = entry_of(shape, state(list));
    if (!e.recording || e.blocks != tape_.allocations()) {
      tape_.reset();
      const bool rehearsed = !e.after.empty() && e.blocks == tape_.allocations();
      tape_.context.training = true, tape_.context.step = step_counter::unknown();
      try {
        const auto once = [&] { e.result = work(tape_); };
        e.recording = {};
        if (rehearsed) {
          e.recording = backend_->record(e.needs, once);
        } else {
          e.needs = backend_->rehearse(once);
        }
      } catch (...) {
        set_fresh(list, e.before);
        tape_.reset();
        throw;
      }
      e.after = state(list), e.blocks = tape_.allocations();
      if (!rehearsed) return e.result;
    }
    set_fresh(list, e.after);
    backend_->replay(e.recording);
    ++replays_;
    return e.result;
  }
};

/// train_step() through `graphs`, which belong to this model and loss; the step has no `sequences`.
template <class B, class M, class O, class L, class Target>
double train_step(step_graphs<B>& graphs, M& model, const O& optimizer, const L& loss,
                  const matrix<typename B::scalar>& x, const Target& target, const step_options& options = {}) {
  using T = typename B::scalar;
  static_assert(detail::check_step<M, O, L, matrix<T>, Target>());
  expect_positive("train_step", "accumulation", static_cast<long long>(options.accumulation));
  expect_positive("train_step", "rows", static_cast<long long>(x.rows));
  expect_equal("train_step", "columns", model.io().in.size(), x.cols);
  if (!model.states().empty()) throw error("train_step, recorded", "a model without ghosts", "one with");
  if (!options.sequences.empty()) throw error("train_step, recorded", "no sequences", std::to_string(options.sequences.size()));
  std::vector<std::size_t> shape{x.rows, options.accumulation, options.domains.size()};
  const T* rows = graphs.input(0, std::span<const T>(x.data));
  const std::int32_t* domains = options.domains.empty() ? nullptr : graphs.input(2, options.domains);
  const auto pass = [&](tape<B>& t, const auto& wanted) {
    t.context.domain = domains, t.context.domain_count = options.domains.size();
    const var<B> value = loss(model.bound().forward(t.tensor(rows, x.rows, model.io().in)), wanted);
    t.backward(value, T(1.0 / double(options.accumulation)));
    return value.data();
  };
  const T* result = nullptr;
  if constexpr (requires { target.cols; }) {
    const T* wanted = graphs.input(1, std::span<const T>(target.data));
    shape.push_back(target.rows), shape.push_back(target.cols);
    result = graphs.run(shape, model.parameters(), [&](tape<B>& t) { return pass(t, t.tensor(wanted, target.rows, target.cols)); });
  } else {
    const std::int32_t* wanted = graphs.input(1, ids(target));
    shape.push_back(target.size());
    result = graphs.run(shape, model.parameters(), [&](tape<B>& t) { return pass(t, labels{wanted, target.size()}); });
  }
  T value = 0;
  graphs.download(&value, result, sizeof value, model.parameters());
  if (!std::isfinite(value)) {
    for (auto* p : model.parameters()) p->gradient_is_fresh = true;
    throw error("train_step", "a finite loss", std::to_string(value));
  }
  if (options.update) apply_gradients(model.backend(), model.parameters(), optimizer, options.lr_scale, options.clip_norm);
  return double(value);
}

}  // namespace modx
