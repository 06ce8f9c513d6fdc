// A tape of operations: var is a handle to a tensor on it; each operation is written once, forward and backward.
#pragma once
#include <cstdint>
#include <cstring>
#include <modx/arena.hpp>
#include <modx/backend/operations.hpp>
#include <modx/matrix.hpp>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace modx {

template <class B>
class tape;
template <class B>
class parameter;
struct routing_perturbation;

/// Where an operation adds a gradient: g = beta g + ..., beta 0 the first time (g is then uninitialised).
template <class T>
struct gradient_target {
  T* data;
  T beta;
};
template <class B>
gradient_target<typename B::scalar> accumulate(parameter<B>& p);

/// A tensor on the tape: n rows of an extent.
template <class B>
struct slot {
  using T = typename B::scalar;
  const T* value = nullptr;
  T* gradient = nullptr;
  bool fresh = true;  // no gradient has arrived yet
  bool needs_gradient = false;
  bool relu = false;   // the value is a ReLU's output, fused into its product
  bool gated = false;  // the gradient so far is 0 where that ReLU's output is (gemm_task::gate)
  std::size_t rows = 0;
  extent columns;
  parameter<B>* source = nullptr;
  slot* viewed = nullptr;  // these are its values, and its gradient is this one's
};

/// Handle to a tensor on a tape: cheap to copy, valid until the tape is reset.
template <class B>
class var {
  slot<B>* slot_ = nullptr;
  tape<B>* tape_ = nullptr;

 public:
  using scalar = typename B::scalar;
  var() = default;
  var(slot<B>* s, tape<B>* t) : slot_(s), tape_(t) {}

  std::size_t rows() const { return raw().rows; }
  std::size_t cols() const { return raw().columns.size(); }
  std::size_t size() const { return rows() * cols(); }
  const extent& columns() const { return raw().columns; }
  const scalar* data() const {
    if (raw().source && !raw().value) throw error("var", "a parameter that can be read", "one frozen in bfloat16: only products and lookups can");
    return raw().value;
  }
  bool needs_gradient() const { return raw().needs_gradient; }
  bool has_gradient() const { return home().gradient && !home().fresh; }
  /// After backward(), of a tensor that no operation made.  (Operations pass the memory of a gradient on, and of a ReLU
  /// fused into its product it may be that of the value before the ReLU.)
  const scalar* gradient() const { return home().gradient; }
  tape<B>& on() const { return raw(), *tape_; }
  B& backend() const { return tape_->backend(); }
  slot<B>& raw() const {
    if (!slot_) throw error("var", "a tensor on a tape", "an empty handle");
    return *slot_;
  }
  /// Where the gradient is: the tensor that this one views, or itself.
  slot<B>& home() const { return raw().viewed ? *slot_->viewed : *slot_; }
  explicit operator bool() const { return slot_ != nullptr; }

  /// Where to add this tensor's gradient in a backward pass; `gated`: what is added is 0 where a fused ReLU's output is.
  gradient_target<scalar> accumulate(bool gated = false) const {
    auto& s = home();
    if (s.source) return modx::accumulate(*s.source);
    if (!s.gradient) s.gradient = tape_->template device<scalar>(size());
    const bool first = s.fresh;
    s.fresh = false;
    s.gated = gated && (first || s.gated);
    return {s.gradient, scalar(first ? 0 : 1)};
  }
  /// Adds the gradient of y, as large as this tensor, as the last thing that the backward pass of y does: the first one
  /// to arrive hands its memory over.
  void take_gradient(var y) const {
    auto &s = home(), &from = y.home();
    if (!s.source && !s.gradient) {
      s.gradient = from.gradient, s.fresh = false, s.gated = false;
      from.gradient = nullptr, from.fresh = true;
      return;
    }
    const auto g = accumulate();
    backend().axpy(size(), 1, from.gradient, g.beta, g.data);
  }
  /// Copies the values to the host.
  matrix<scalar> host() const {
    matrix<scalar> m(rows(), cols());
    backend().download(m.data.data(), data(), size() * sizeof(scalar));
    return m;
  }
  /// The value of a 1 x 1 tensor.
  scalar item() const {
    expect_equal("var::item", "element", 1, size());
    scalar x;
    backend().download(&x, data(), sizeof x);
    return x;
  }
};

/// What attends in the place of an attention over the tape's own tokens: key_value_cache<B> (cache.hpp).
class attention_cache {
 public:
  /// x: a const var<B>*, heads: a const head_layout*, out: rows of x times heads head_dim scalars.
  virtual void attend(const void* x, const void* heads, void* out) = 0;

 protected:
  ~attention_cache() = default;
};

/// Counter of the random streams.  A recorded step has none: its kernels keep their arguments.
class step_counter {
  std::uint64_t value_ = 0;
  bool known_ = true;

 public:
  step_counter(std::uint64_t value = 0) : value_(value) {}
  static step_counter unknown() {
    step_counter s;
    s.known_ = false;
    return s;
  }
  operator std::uint64_t() const {
    if (!known_) throw error("a recorded step", "no random numbers (dropout, routing noise)", "a look at context.step");
    return value_;
  }
};

/// What a forward pass knows besides its input.
struct batch_context {
  bool training = false;            // dropout and routing noise are on
  step_counter step;                // counter of the random streams
  const std::int32_t* domain = nullptr;  // one id a token, for oracle routers and combiners
  std::size_t domain_count = 0;
  const routing_perturbation* perturbation = nullptr;  // evaluation under routing noise
  sequences sequence = {};               // how the tokens form sequences (tape::sequences_of), for attention
  bool exact = false;                    // products in full precision, whatever the backend was told (routers)
  attention_cache* cache = nullptr;      // keys and values of earlier tokens (key_value_cache), for generation
};

/// Where the host arena of a tape takes its blocks from.
struct host_memory {
  void* allocate(std::size_t n) { return ::operator new(n, std::align_val_t(64)); }
  void deallocate(void* p, std::size_t) noexcept { ::operator delete(p, std::align_val_t(64)); }
};

/// Records operations and runs them backwards.  All memory comes from two arenas that `reset()` rewinds.
template <class B>
class tape {
  using T = typename B::scalar;
  struct step_record {
    void (*run)(void*);
    void* operation;
    step_record* previous;
  };
  B* backend_;
  host_memory heap_;
  arena<B> device_;
  arena<host_memory> host_;
  step_record* last_ = nullptr;
  void *routings_ = nullptr, *outputs_ = nullptr;
  bool recording_ = true;

 public:
  batch_context context;

  explicit tape(B& backend) : backend_(&backend), device_(backend), host_(heap_) {}
  tape(const tape&) = delete;
  tape& operator=(const tape&) = delete;

  B& backend() const { return *backend_; }
  bool recording() const { return recording_; }
  /// With recording off nothing is kept for a backward pass (evaluation).
  void record_operations(bool on) { recording_ = on; }

  /// Forgets every tensor and takes the memory back.
  void reset();

  template <class U>
  U* device(std::size_t n) {
    return device_.template array<U>(n);
  }
  /// Device memory as it is; rewind(here()) later takes back what was handed out since: no tensor made since has values.
  auto here() const { return device_.here(); }
  void rewind(typename arena<B>::place p) { device_.rewind(p); }
  template <class U>
  U* host(std::size_t n) {
    return host_.template array<U>(n);
  }
  template <class U, class... A>
  U* make(A&&... a) {
    static_assert(std::is_trivially_destructible_v<U>, "modx: what an operation keeps must be trivially destructible: "
                                                      "memory comes from the tape (device(), host()), not from containers");
    return ::new (host_.bytes(sizeof(U))) U{std::forward<A>(a)...};
  }

  /// A tensor over memory that outlives the step.
  var<B> tensor(const T* value, std::size_t rows, extent columns, bool needs_gradient = false);
  /// The values of x under another shape; its gradient is x's.
  var<B> view(var<B> x, std::size_t rows, extent columns) {
    auto v = tensor(x.data(), rows, columns, x.needs_gradient());
    v.raw().viewed = &x.home();
    return v;
  }
  /// New memory for an operation's result; `out` is what the operation writes to.
  var<B> result(std::size_t rows, extent columns, bool needs_gradient, T*& out);
  /// Copies host rows on to the tape.
  var<B> input(std::span<const T> values, std::size_t rows, extent columns, bool needs_gradient = false);
  var<B> input(const matrix<T>& m) { return input(m.data, m.rows, m.cols); }
  /// A constant, n x columns.
  var<B> constant(std::size_t rows, extent columns, T value);
  /// Ids on the device.
  const std::int32_t* input(ids values);
  /// Sequences of these lengths, one behind the other: what context.sequence takes.  They start at place 0, or go on where
  /// `starts` says.
  sequences sequences_of(std::span<const std::size_t> lengths, std::span<const std::size_t> starts = {});
  /// A parameter as a tensor: its gradient goes to the parameter.
  var<B> use(parameter<B>& p);

  /// Remembers how to run the operation behind `result` backwards: `f(g)` takes the gradient of the result and adds
  /// to the gradients of the inputs.  It is not called when no gradient arrives.
  template <class F>
  void record(var<B> result, F f) {
    if (!recording_ || !result.needs_gradient()) return;
    struct operation {
      var<B> y;
      F f;
    };
    auto* kept = make<operation>(result, std::move(f));
    constexpr auto run = [](void* op) {
      auto& o = *static_cast<operation*>(op);
      if (o.y.has_gradient()) o.f(o.y.gradient());
    };
    last_ = make<step_record>(+run, static_cast<void*>(kept), last_);
  }
  /// Runs everything backwards from a scalar; its gradient is `scale`.
  void backward(var<B> loss, T scale = 1);

  /// Head of the list of routing records of this step (routing.hpp).
  void*& routings() { return routings_; }
  /// Head of the list of what experts have put out in this step.
  void*& expert_outputs() { return outputs_; }
  /// Both heads: when they change, something points to tensors of the tape from outside.
  std::pair<const void*, const void*> records() const { return {routings_, outputs_}; }

  std::size_t allocations() const { return device_.allocations() + host_.allocations(); }
  std::size_t peak_bytes() const { return device_.peak_bytes() + host_.peak_bytes(); }
};

template <class B>
void tape<B>::reset() {
  last_ = nullptr, routings_ = outputs_ = nullptr;
  device_.reset(), host_.reset();
  context = {};
}
template <class B>
var<B> tape<B>::tensor(const T* value, std::size_t rows, extent columns, bool needs_gradient) {
  checked_product("tensor", rows, columns.size());
  auto* s = make<slot<B>>();
  s->value = value, s->rows = rows, s->columns = columns;
  s->needs_gradient = needs_gradient && recording_;
  return {s, this};
}
template <class B>
var<B> tape<B>::result(std::size_t rows, extent columns, bool needs_gradient, T*& out) {
  out = device<T>(checked_product("result", rows, columns.size()));
  return tensor(out, rows, columns, needs_gradient);
}
template <class B>
var<B> tape<B>::input(std::span<const T> values, std::size_t rows, extent columns, bool needs_gradient) {
  expect_equal("input", "values", checked_product("input", rows, columns.size()), values.size());
  T* p = nullptr;
  auto x = result(rows, columns, needs_gradient, p);
  backend_->upload(p, values.data(), values.size() * sizeof(T));
  return x;
}
template <class B>
var<B> tape<B>::constant(std::size_t rows, extent columns, T value) {
  T* p = nullptr;
  auto x = result(rows, columns, false, p);
  backend_->fill(x.size(), value, p);
  return x;
}
template <class B>
const std::int32_t* tape<B>::input(ids values) {
  auto* p = device<std::int32_t>(values.size());
  backend_->upload(p, values.data(), values.size_bytes());
  return p;
}
template <class B>
sequences tape<B>::sequences_of(std::span<const std::size_t> lengths, std::span<const std::size_t> starts) {
  if (!starts.empty()) expect_equal("sequences_of", "starts", lengths.size(), starts.size());
  sequences s;
  s.count = lengths.size();
  for (const std::size_t length : lengths) {
    s.longest = length > s.longest ? length : s.longest;
    s.tokens += length;
    if (s.tokens > 0x7fffffff || length > 0x7fffffff)
      throw error("sequences_of", "fewer than 2^31 tokens", "more");
  }
  auto* offsets = host<std::int32_t>(s.count + 1);
  auto* position = host<std::int32_t>(s.tokens);
  auto* last = host<std::int32_t>(s.count);
  std::size_t at = 0;
  for (std::size_t i = 0; i < s.count; ++i) {
    offsets[i] = static_cast<std::int32_t>(at);
    last[i] = lengths[i] ? static_cast<std::int32_t>(at + lengths[i] - 1) : -1;
    const std::size_t start = starts.empty() ? 0 : starts[i];
    if (start > 0x7fffffff - lengths[i]) throw error("sequences_of", "places below 2^31", std::to_string(start));
    for (std::size_t t = 0; t < lengths[i]; ++t) position[at++] = static_cast<std::int32_t>(start + t);
  }
  offsets[s.count] = static_cast<std::int32_t>(at);
  s.offsets = input(ids(offsets, s.count + 1));
  s.position = input(ids(position, s.tokens));
  s.last = input(ids(last, s.count));
  return s;
}
template <class B>
void tape<B>::backward(var<B> loss, T scale) {
  expect_equal("backward (of a loss)", "element", 1, loss.size());
  if (&loss.on() != this) throw error("backward", "a loss on this tape", "one on another");
  if (!loss.needs_gradient()) throw error("backward: the loss depends on no trainable parameter");
  T* start = device<T>(1);
  backend_->fill(1, scale, start);
  const auto g = loss.accumulate();
  backend_->axpy(1, 1, start, g.beta, g.data);
  for (auto* s = last_; s; s = s->previous) s->run(s->operation);
  last_ = nullptr;
}

/// While it lives the tape records nothing.
template <class B>
class unrecorded {
  tape<B>* tape_;

 public:
  explicit unrecorded(tape<B>& t) : tape_(&t) { t.record_operations(false); }
  unrecorded(const unrecorded&) = delete;
  unrecorded& operator=(const unrecorded&) = delete;
  ~unrecorded() { tape_->record_operations(true); }
};

}  // namespace modx
