// build(): spec + backend + shape -> model, which owns its parameters.
#pragma once
#include <modx/concepts.hpp>
#include <modx/owned.hpp>

namespace modx {

/// A bound spec and its parameters.  Movable; parameters keep their addresses.
template <class S, Backend B>
class model {
  static_assert(check_module<S, B>());
  using bound_type = accepted_t<S, B, Module<S, B>>;
  B* backend_;
  S spec_;
  shape io_;
  owned<parameter_list<B>> owned_;
  std::vector<parameter<B>*> list_, states_;
  owned<tape<B>> tape_;
  bound_type bound_;

  static bound_type make(B& b, parameter_list<B>& list, const S& spec, shape io, std::uint64_t seed) {
    builder<B> root(b, list, seed);
    return bound_type(root, spec, io);
  }

 public:
  using backend_type = B;
  using scalar = typename B::scalar;

  model(B& backend, const S& spec, shape io, std::uint64_t seed)
      : backend_(&backend), spec_(spec), io_(io), owned_(make_owned<parameter_list<B>>()),
        tape_(make_owned<tape<B>>(backend)), bound_(make(backend, *owned_, spec, io, seed)) {
    for (auto& p : *owned_) {
      for (auto& q : *owned_)
        if (q.get() != p.get() && q->name() == p->name())
          throw error("build", "one parameter called '" + p->name() + "'", "two");
      (p->is_state() ? states_ : list_).push_back(p.get());
    }
  }

  B& backend() const { return *backend_; }
  const S& spec() const { return spec_; }
  const shape& io() const { return io_; }
  const bound_type& bound() const { return bound_; }
  /// The model's own tape: one step at a time.
  tape<B>& tape_of_step() { return *tape_; }

  std::span<parameter<B>* const> parameters() const { return list_; }
  /// What is saved with the parameters and not trained, such as the levels of ghosts.
  std::span<parameter<B>* const> states() const { return states_; }
  std::size_t parameter_count() const {
    std::size_t n = 0;
    for (auto* p : list_) n += p->size();
    return n;
  }
  parameter<B>& find(std::string_view name) const {
    for (const auto& p : *owned_)
      if (p->name() == name) return *p;
    throw error("model: no parameter called '" + std::string(name) + "'");
  }
  /// Only parameters that match one of the patterns ("router.*") are trained from now on; a pattern that matches
  /// nothing is an error.
  void train_only(std::span<const std::string> patterns) {
    for (const auto& pattern : patterns) {
      bool any = false;
      for (auto* p : list_) any = any || matches(pattern, p->name());
      if (!any) throw error("train_only: no parameter matches '" + pattern + "'");
    }
    for (auto* p : list_) {
      bool on = false;
      for (const auto& pattern : patterns) on = on || matches(pattern, p->name());
      p->set_trainable(on);
    }
  }
  void train_only(std::initializer_list<std::string> patterns) {
    train_only(std::span<const std::string>(patterns.begin(), patterns.size()));
  }

  /// Packs again what an update has made stale, all weights in one call.
  void pack_weights() {
    auto* tasks = tape_->template host<pack_task<scalar>>(2 * list_.size());
    std::size_t count = 0;
    for (auto* p : list_) p->each_stale([&](const pack_task<scalar>& task) { tasks[count++] = task; });
    if (count) backend_->pack(std::span<const pack_task<scalar>>(tasks, count));
  }
  var<B> forward(var<B> x) const { return bound_.forward(x); }
  /// Output for host rows, nothing recorded; `sequences`: lengths of the sequences they form, for attention.
  matrix<scalar> predict(const matrix<scalar>& x, std::span<const std::size_t> sequences = {}) {
    expect_equal("predict", "columns", io_.in.size(), x.cols);
    auto& t = *tape_;
    t.reset();
    if (!sequences.empty()) t.context.sequence = t.sequences_of(sequences);
    const unrecorded<B> quiet(t);
    auto y = forward(t.input(x.data, x.rows, io_.in)).host();
    t.reset();
    return y;
  }
};

/// A model of this spec; parameters start from (seed, their name) only.
template <class S, Backend B>
model<S, B> build(B& backend, const S& spec, shape io, std::uint64_t seed) {
  expect_positive("build", "columns in", static_cast<long long>(io.in.size()));
  return model<S, B>(backend, spec, io, seed);
}
template <class S, Backend B>
model<S, B> build(B& backend, const S& spec, shape io) {
  return build(backend, spec, io, backend.seed());
}
/// These two say what is wrong with the arguments.
template <class S, Backend B, class Io>
  requires(!std::convertible_to<const Io&, shape>)
model<S, B> build(B& backend, const S& spec, const Io&, std::uint64_t = 0) {
  static_assert(std::convertible_to<const Io&, shape>, "modx: build(backend, spec, shape) needs a modx::shape: "
                                                       "{.in = columns in, .out = columns out}");
  return build(backend, spec, shape{}, 0);
}
template <class B, class S>
  requires(!Backend<std::remove_cvref_t<B>>)
void build(B&&, const S&, shape, std::uint64_t = 0) {
  static_assert(check_backend<std::remove_cvref_t<B>>());
}

/// Copies values, and states, between models by name; both must have those that match `pattern`.
template <class From, class To>
void copy_parameters(const From& from, To& to, std::string_view pattern = "*") {
  bool any = false;
  for (const auto list : {from.parameters(), from.states()})
    for (auto* p : list)
      if (matches(pattern, p->name())) to.find(p->name()).set(p->host()), any = true;
  if (!any) throw error("copy_parameters: no parameter matches '" + std::string(pattern) + "'");
}

}  // namespace modx
