// Parameters: named tensors that outlive the step.  Their path ("experts.3.up.weight") is their name everywhere:
// in stages' patterns, checkpoints and reports.
#pragma once
#include <cmath>
#include <modx/backend/bfloat16.hpp>
#include <modx/backend/operations.hpp>
#include <modx/owned.hpp>
#include <modx/random.hpp>
#include <modx/tape.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modx {

/// How a parameter starts.
struct init {
  enum class kind { constant, uniform, normal } how = kind::constant;
  double scale = 0;

  static constexpr init constant(double value) { return {kind::constant, value}; }
  static constexpr init zeros() { return constant(0); }
  /// U(-bound, bound).
  static constexpr init uniform(double bound) { return {kind::uniform, bound}; }
  static constexpr init normal(double sd) { return {kind::normal, sd}; }
  /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for linear and convolution, weight and bias.
  static init fan_in(std::size_t n) { return uniform(1 / std::sqrt(double(n ? n : 1))); }
};

/// A trainable tensor: rows x cols on the device, its gradient, and its weights packed for products.  A state is saved and
/// loaded like one, but no gradient moves it.
template <class B>
class parameter {
  using T = typename B::scalar;
  B* backend_;
  std::string name_;
  std::size_t rows_, cols_;
  T *value_ = nullptr, *gradient_ = nullptr, *moment_[2] = {nullptr, nullptr}, *packed_[2] = {nullptr, nullptr};
  std::uint16_t* bf16_ = nullptr;  // frozen: the only copy, in panels
  bool bf16_transposed_ = false;
  std::uint64_t version_ = 1, packed_version_[2] = {0, 0};
  bool packed_rounded_[2] = {false, false};  // in bfloat16
  bool trainable_, state_;

 public:
  bool gradient_is_fresh = true;  // nothing has been accumulated since the last update
  std::uint64_t updates = 0;      // steps an optimiser has taken on it
  double rate = 1;                // times the optimiser's learning rate; 0: optimisers leave it alone

  parameter(B& backend, std::string name, std::size_t rows, std::size_t cols, bool state = false);
  parameter(const parameter&) = delete;
  parameter& operator=(const parameter&) = delete;
  ~parameter();

  B& backend() const { return *backend_; }
  const std::string& name() const { return name_; }
  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t size() const { return rows_ * cols_; }
  const T* value() const { return value_; }
  /// For writing: packed forms of the old value are forgotten.  Memory is taken at the first call.
  T* mutable_value();
  /// Grows when the value may have changed.
  std::uint64_t version() const { return version_; }
  bool is_state() const { return state_; }
  bool trainable() const { return trainable_; }
  void set_trainable(bool on) {
    if (on && bf16_) throw error("parameter '" + name_ + "'", "one that is not frozen in bfloat16, to train it", "one that is");
    trainable_ = on && !state_;
    gradient_is_fresh = true;
  }
  /// The values in bfloat16 from now on, in panels for x W (or x W^T): half the memory, and no training of it.
  /// Returns the panels to be filled by backend.pack_bf16().
  std::uint16_t* freeze_bf16(bool transposed);
  /// The panels of a frozen parameter, or null.
  const std::uint16_t* bf16() const { return bf16_; }
  bool bf16_transposed() const { return bf16_transposed_; }
  /// Null until the parameter has been trained once.
  const T* gradient() const { return gradient_is_fresh ? nullptr : gradient_; }
  T* gradient_buffer() {
    if (!gradient_) gradient_ = static_cast<T*>(backend_->allocate(size() * sizeof(T)));
    return gradient_;
  }
  /// The optimiser's state: first or second moment, zero at first.
  T* moment(int which);
  bool has_moment(int which) const { return moment_[which] != nullptr; }
  /// A new optimiser starts: no moments, no steps.
  void forget_moments();
  /// Values to and from the host.
  matrix<T> host() const;
  void set(std::span<const T> values);
  void set(const matrix<T>& m);

  /// The weight as the right operand of x W (or x W^T), packed once per value; null where the backend packs nothing.  The backend
  /// must run `task`, if it has an `out`, before the result is read.  exact: for a gemm_task that is.
  const T* packed(bool transposed, bool exact, pack_task<T>& task);
  /// Calls f(task) for each packed form that an update has made stale.
  template <class F>
  void each_stale(F f) {
    for (int t = 0; t < 2; ++t) {
      pack_task<T> task;
      if (packed_[t]) packed(t != 0, !packed_rounded_[t], task);
      if (task.out) f(task);
    }
  }
  matrix_view<T> view(bool transposed) const {
    return transposed ? matrix_view<T>::transposed(value_, cols_) : matrix_view<T>::plain(value_, cols_);
  }

 private:
  std::size_t packed_bytes(int transposed) const {
    return backend_->packed_size(transposed ? cols_ : rows_, transposed ? rows_ : cols_) * sizeof(T);
  }
};

template <class B>
parameter<B>::parameter(B& backend, std::string name, std::size_t rows, std::size_t cols, bool state)
    : backend_(&backend), name_(std::move(name)), rows_(rows), cols_(cols), trainable_(!state), state_(state) {
}
template <class B>
typename B::scalar* parameter<B>::mutable_value() {
  if (bf16_) throw error("parameter '" + name_ + "'", "one that is not frozen in bfloat16, to write it", "one that is");
  if (!value_) value_ = static_cast<T*>(memory_of(*backend_, size() * sizeof(T), "parameter '" + name_ + "'"));
  ++version_;
  return value_;
}
template <class B>
std::uint16_t* parameter<B>::freeze_bf16(bool transposed) {
  if constexpr (requires { backend_->bf16_panel(); }) {
    if (bf16_) throw error("parameter '" + name_ + "'", "one that is not frozen yet", "one that is");
    const std::size_t bytes = backend_->bf16_size(transposed ? cols_ : rows_, transposed ? rows_ : cols_) * sizeof(std::uint16_t);
    bf16_ = static_cast<std::uint16_t*>(memory_of(*backend_, bytes, "parameter '" + name_ + "'"));
    bf16_transposed_ = transposed;
    set_trainable(false);
    forget_moments();
    if (value_) backend_->deallocate(std::exchange(value_, nullptr), size() * sizeof(T));
    if (gradient_) backend_->deallocate(std::exchange(gradient_, nullptr), size() * sizeof(T));
    for (int t = 0; t < 2; ++t)
      if (packed_[t]) backend_->deallocate(std::exchange(packed_[t], nullptr), packed_bytes(t)), packed_version_[t] = 0;
    return bf16_;
  } else {
    static_cast<void>(transposed);
    throw error("parameter '" + name_ + "', freeze_bf16", "a backend that multiplies by bfloat16", B::name());
  }
}
template <class B>
parameter<B>::~parameter() {
  if (value_) backend_->deallocate(value_, size() * sizeof(T));
  if (bf16_) {
    if constexpr (requires { backend_->bf16_panel(); })
      backend_->deallocate(bf16_, backend_->bf16_size(bf16_transposed_ ? cols_ : rows_, bf16_transposed_ ? rows_ : cols_) * sizeof(std::uint16_t));
  }
  if (gradient_) backend_->deallocate(gradient_, size() * sizeof(T));
  for (int t = 0; t < 2; ++t)
    if (packed_[t]) backend_->deallocate(packed_[t], packed_bytes(t));
  forget_moments();
}
template <class B>
typename B::scalar* parameter<B>::moment(int which) {
  if (!moment_[which]) {
    moment_[which] = static_cast<T*>(backend_->allocate(size() * sizeof(T)));
    backend_->fill(size(), 0, moment_[which]);
  }
  return moment_[which];
}
template <class B>
void parameter<B>::forget_moments() {
  for (auto& m : moment_) {
    if (m) backend_->deallocate(m, size() * sizeof(T));
    m = nullptr;
  }
  updates = 0;
}
template <class B>
matrix<typename B::scalar> parameter<B>::host() const {
  matrix<T> m(rows_, cols_);
  if (bf16_) {
    if constexpr (requires { backend_->bf16_panel(); }) {
      const std::size_t k = bf16_transposed_ ? cols_ : rows_;
      std::vector<std::uint16_t> panels(backend_->bf16_size(k, bf16_transposed_ ? rows_ : cols_));
      backend_->download(panels.data(), bf16_, panels.size() * sizeof panels[0]);
      for (std::size_t i = 0; i < rows_; ++i)
        for (std::size_t j = 0; j < cols_; ++j) {
          m(i, j) = T(from_bf16(panels[bf16_transposed_ ? backend_->bf16_at(k, j, i) : backend_->bf16_at(k, i, j)]));
        }
    }
    return m;
  }
  if (!value_) throw error("parameter '" + name_ + "'", "a value", "none: it has not been loaded");
  backend_->download(m.data.data(), value_, size() * sizeof(T));
  return m;
}
template <class B>
void parameter<B>::set(std::span<const T> values) {
  if (values.size() != size())
    throw error("parameter '" + name_ + "'", std::to_string(size()) + " values", std::to_string(values.size()));
  backend_->upload(mutable_value(), values.data(), values.size_bytes());
}
template <class B>
void parameter<B>::set(const matrix<T>& m) {
  if (m.rows != rows_ || m.cols != cols_)
    throw error("parameter '" + name_ + "'", std::to_string(rows_) + " x " + std::to_string(cols_),
                std::to_string(m.rows) + " x " + std::to_string(m.cols));
  set(std::span<const T>(m.data));
}
template <class B>
const typename B::scalar* parameter<B>::packed(bool transposed, bool exact, pack_task<T>& task) {
  task = {};
  const std::size_t k = transposed ? cols_ : rows_, n = transposed ? rows_ : cols_;
  if (backend_->packed_size(k, n) == 0) return nullptr;
  auto& p = packed_[transposed];
  if (!p) p = static_cast<T*>(backend_->allocate(packed_bytes(transposed)));
  bool rounded = false;
  if constexpr (requires { backend_->packs_rounded(exact); }) rounded = backend_->packs_rounded(exact);
  if (packed_version_[transposed] != version_ || packed_rounded_[transposed] != rounded) {
    task = {k, n, view(transposed), p, exact};
    packed_version_[transposed] = version_, packed_rounded_[transposed] = rounded;
  }
  return p;
}

template <class B>
var<B> tape<B>::use(parameter<B>& p) {
  auto* s = make<slot<B>>();
  if (!p.value() && !p.bf16()) throw error("parameter '" + p.name() + "'", "a value", "none: it has not been loaded");
  s->value = p.value(), s->rows = p.rows(), s->columns = p.cols(), s->source = &p;
  s->needs_gradient = p.trainable() && recording_;
  return {s, this};
}

/// Where to add a parameter's gradient.
template <class B>
gradient_target<typename B::scalar> accumulate(parameter<B>& p) {
  using T = typename B::scalar;
  const bool first = p.gradient_is_fresh;
  p.gradient_is_fresh = false;
  return {p.gradient_buffer(), T(first ? 0 : 1)};
}

template <class B>
using parameter_list = std::vector<owned<parameter<B>>>;

/// The seed of a model whose parameters will be loaded: they have no values and no memory until then.
inline constexpr std::uint64_t to_be_loaded = ~std::uint64_t(0);

/// Given to the constructor of a bound policy: makes its parameters, under its path.
template <class B>
class builder {
  B* backend_;
  parameter_list<B>* list_;
  std::uint64_t seed_;
  std::string path_;

 public:
  builder(B& backend, parameter_list<B>& list, std::uint64_t seed, std::string path = {})
      : backend_(&backend), list_(&list), seed_(seed), path_(std::move(path)) {}

  B& backend() const { return *backend_; }
  /// A builder whose parameters are called "<path>.<name>....".
  builder scope(std::string_view name) const;
  builder scope(std::size_t index) const { return scope(std::to_string(index)); }

  /// A rows x cols parameter; its start depends on the seed and its path only.
  parameter<B>& make(std::string_view name, std::size_t rows, std::size_t cols, init how);
  /// A rows x cols state: in files and checkpoints like a parameter, but not among those that are trained.
  parameter<B>& make_state(std::string_view name, std::size_t rows, std::size_t cols, double value);

 private:
  parameter<B>& add(std::string_view name, std::size_t rows, std::size_t cols, init how, bool state);
  std::string join(std::string_view name) const;
};

template <class B>
parameter<B>& builder<B>::make(std::string_view name, std::size_t rows, std::size_t cols, init how) {
  return add(name, rows, cols, how, false);
}
template <class B>
parameter<B>& builder<B>::make_state(std::string_view name, std::size_t rows, std::size_t cols, double value) {
  return add(name, rows, cols, init::constant(value), true);
}
template <class B>
parameter<B>& builder<B>::add(std::string_view name, std::size_t rows, std::size_t cols, init how, bool state) {
  using T = typename B::scalar;
  const std::string path = join(name);
  checked_product(path.c_str(), rows, cols);
  if (rows == 0 || cols == 0)
    throw error("parameter '" + path + "'", "at least one row and column",
                std::to_string(rows) + " x " + std::to_string(cols));
  list_->push_back(make_owned<parameter<B>>(*backend_, path, rows, cols, state));
  auto& p = *list_->back();
  if (seed_ == to_be_loaded && !state) return p;
  p.mutable_value();  // takes its memory, or says that there is none
  std::vector<T> values(p.size(), T(how.scale));
  const random_stream random(seed_, "init/" + path);
  if (how.how == init::kind::uniform)
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = T(how.scale * (2 * random.uniform(i) - 1));
  if (how.how == init::kind::normal)
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = T(how.scale * random.normal(i));
  p.set(values);
  return p;
}
template <class B>
builder<B> builder<B>::scope(std::string_view name) const { return {*backend_, *list_, seed_, join(name)}; }
template <class B>
std::string builder<B>::join(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

/// Does `name` match `pattern`?  '*' stands for any characters, dots included.
inline bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++, mark = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1, n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace modx
