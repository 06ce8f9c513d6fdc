// Keys and values of the tokens that came before, for generating one token after the other.
#pragma once
#include <modx/dataset.hpp>
#include <modx/ops/attention.hpp>

namespace modx {

/// For each attention of a model, in the order in which they run: room for `capacity` tokens of each of `count` sequences.
/// In an unrecorded pass with tape.context.cache = &cache and sequences that start at lengths(), attention appends the new
/// keys and values and attends to all of them.  Rows have the bits they have without a cache.
template <Backend B>
class key_value_cache final : public attention_cache {
  using T = typename B::scalar;
  struct layer {
    device_matrix<B> keys, values;
  };
  B* backend_;
  std::size_t count_, capacity_;
  std::vector<layer> layers_;
  std::vector<std::size_t> lengths_;
  std::size_t next_ = 0;

 public:
  key_value_cache(B& backend, std::size_t sequences, std::size_t capacity)
      : backend_(&backend), count_(sequences), capacity_(capacity), lengths_(sequences) {
    expect_positive("key_value_cache", "sequences", static_cast<long long>(sequences));
    expect_positive("key_value_cache", "tokens a sequence", static_cast<long long>(capacity));
    if (checked_product("key_value_cache", sequences, capacity) > 0x7fffffff)
      throw error("key_value_cache", "fewer than 2^31 tokens", std::to_string(sequences) + " x " + std::to_string(capacity));
  }
  /// Tokens of each sequence so far: where the next ones start.
  const std::vector<std::size_t>& lengths() const { return lengths_; }
  std::size_t capacity() const { return capacity_; }
  /// Forgets every token.
  void clear() {
    for (auto& l : lengths_) l = 0;
    next_ = 0;
  }
  /// Before a pass over `lengths` new tokens of each sequence: prepares the tape.
  void start(tape<B>& t, std::span<const std::size_t> lengths) {
    expect_equal("key_value_cache", "sequences", count_, lengths.size());
    if (t.recording()) throw error("key_value_cache", "a pass without gradients (modx::unrecorded)", "a recorded one");
    for (std::size_t s = 0; s < count_; ++s)
      if (lengths[s] > capacity_ - lengths_[s])
        throw error("key_value_cache", "at most " + std::to_string(capacity_) + " tokens a sequence",
                    std::to_string(lengths_[s] + lengths[s]));
    t.context.sequence = t.sequences_of(lengths, lengths_);
    t.context.cache = this;
    next_ = 0;
  }
  /// After the pass: the new tokens count.
  void finish(std::span<const std::size_t> lengths) {
    for (std::size_t s = 0; s < count_; ++s) lengths_[s] += lengths[s];
  }
  /// The next attention of the model: over what it holds and the new rows.
  void attend(const void* rows_of_x, const void* heads, void* out) override {
    const auto& x = *static_cast<const var<B>*>(rows_of_x);
    const auto& h = *static_cast<const head_layout*>(heads);
    auto& t = x.on();
    const auto& s = t.context.sequence;
    const std::size_t width = h.keys(), k = h.queries(), v = k + width, n = x.rows();
    if (h.groups != 1) throw error("key_value_cache", "one group of heads", std::to_string(h.groups));
    if (next_ == layers_.size()) {
      const std::size_t rows = count_ * capacity_;
      layers_.push_back({device_matrix<B>(*backend_, rows, width), device_matrix<B>(*backend_, rows, width)});
    }
    auto& own = layers_[next_++];
    expect_equal("key_value_cache", "columns of keys", own.keys.columns().size(), width);
    auto* row = t.template host<std::int32_t>(n);
    auto* offsets = t.template host<std::int32_t>(count_ + 1);
    auto* keys = t.template host<std::int32_t>(count_);
    auto* q_offsets = t.template host<std::int32_t>(count_ + 1);
    backend_->download(q_offsets, s.offsets, (count_ + 1) * sizeof(std::int32_t));
    std::size_t longest = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      offsets[i] = static_cast<std::int32_t>(i * capacity_);
      const auto fresh = static_cast<std::size_t>(q_offsets[i + 1] - q_offsets[i]);
      keys[i] = static_cast<std::int32_t>(lengths_[i] + fresh);
      longest = longest < lengths_[i] + fresh ? lengths_[i] + fresh : longest;
      for (std::size_t j = 0; j < fresh; ++j)
        row[static_cast<std::size_t>(q_offsets[i]) + j] = static_cast<std::int32_t>(i * capacity_ + lengths_[i] + j);
    }
    offsets[count_] = static_cast<std::int32_t>(count_ * capacity_);
    T* part = t.template device<T>(n * width);
    const auto* to = t.input(ids(row, n));
    backend_->take_columns(n, x.cols(), k, width, x.data(), 0, part);
    backend_->put_rows(n, count_ * capacity_, width, part, to, own.keys.data());
    backend_->take_columns(n, x.cols(), v, width, x.data(), 0, part);
    backend_->put_rows(n, count_ * capacity_, width, part, to, own.values.data());
    attention_task task;
    task.heads = h.heads, task.kv_heads = h.kv_heads, task.head_dim = h.head_dim;
    task.q_row = x.cols(), task.kv_row = width, task.out_row = h.queries();
    task.q = s, task.kv.count = count_, task.kv.tokens = count_ * capacity_, task.kv.longest = longest;
    task.kv.offsets = t.input(ids(offsets, count_ + 1));
    task.keys = t.input(ids(keys, count_));
    task.scale = 1 / std::sqrt(double(h.head_dim));
    backend_->attention(task, x.data(), own.keys.data(), own.values.data(), static_cast<T*>(out), nullptr);
  }
};

}  // namespace modx
