// The hidden states under the first block that is trained, computed once per distinct text and kept in a file: every epoch
// and every expert starts from there.
#pragma once
#include <functional>
#include <modx/io/checksum.hpp>
#include <modx/io/safetensors_stream.hpp>
#include <modx/io/safetensors_writer.hpp>
#include <modx/model.hpp>
#include <unordered_map>

namespace modx::io {

/// What hidden states depend on: they are computed again when any of it differs.
struct hidden_key {
  std::string weights;    // of the model: weights_sum(), or a checksum of its files
  std::string tokenizer;  // checksum of tokenizer.json, or a name
  std::size_t layer = 0;  // hidden states after this many blocks
  bool bf16 = false;      // computed with products in bfloat16: backend.uses_bf16()
};

/// xxh128 of the names and values of a model's parameters that match `pattern`.
template <class M>
std::string weights_sum(const M& model, std::string_view pattern = "*") {
  checksum sum;
  for (const auto* p : model.parameters()) {
    if (!matches(pattern, p->name())) continue;
    const auto values = p->host();
    sum.add(p->name()).add(std::uint64_t{values.rows}).add(std::as_bytes(std::span(values.data)));
  }
  return sum.hex();
}

/// Hidden states of texts (lists of ids), read from the file as they are asked for.
class hidden_cache {
 public:
  using text = std::vector<std::int32_t>;
  /// Computes the hidden states of some texts, one behind the other: all their tokens x width.
  using compute = std::function<matrix<float>(std::span<const text* const>)>;
  /// Called before each batch and at the end: distinct texts done, of how many.
  using progress_call = std::function<void(std::size_t done, std::size_t of)>;

  /// Opens `file` if it holds the hidden states of these texts under this key, else computes and writes it; `say` gets one
  /// sentence where a file was there and could not be used.  `batch`: texts at a time.
  hidden_cache(std::filesystem::path file, const hidden_key& key, std::span<const text> texts, const compute& f,
               const std::function<void(const std::string&)>& say = {}, const progress_call& progress = {},
               std::size_t batch = 64);

  /// Texts, in the order given; equal ones share their hidden states.
  std::size_t size() const { return index_.size(); }
  std::size_t distinct() const { return offsets_.size() - 1; }
  std::size_t width() const { return width_; }
  /// Tokens of text i.
  std::size_t length(std::size_t i) const { return std::size_t(offsets_[index_.at(i) + 1] - offsets_[index_.at(i)]); }
  /// The hidden states of these texts, one behind the other, and their lengths: what a batch is made of.
  matrix<float> rows(std::span<const std::int32_t> of, std::vector<std::size_t>& lengths) const;

 private:
  std::filesystem::path file_;
  std::vector<std::size_t> index_;      // of text i among the distinct ones
  std::vector<std::int64_t> offsets_;   // of the distinct ones
  std::size_t width_ = 0;
  std::unique_ptr<safetensors_stream> in_;

  static std::string data_sum(std::span<const std::int64_t> offsets, std::span<const float> hidden) {
    return checksum().add(std::as_bytes(offsets)).add(std::as_bytes(hidden)).hex();
  }
  void open(const std::string& key, std::size_t count);
};

inline void hidden_cache::open(const std::string& key, std::size_t count) {
  in_ = std::make_unique<safetensors_stream>(file_);
  const auto fail = [&](const char* code, const std::string& expected, const std::string& found) {
    throw io_error(code, file_, 8, expected, found);
  };
  const auto& meta = in_->metadata();
  const auto said = [&](const char* name) {
    const auto it = meta.find(name);
    return it == meta.end() ? std::string("none") : it->second;
  };
  if (said("modx.hidden") != "1") fail("not_a_cache", "hidden states, version 1", show(said("modx.hidden")));
  if (said("modx.key") != key) fail("stale", "hidden states of this model and these texts", "those of others");
  const auto offsets = in_->find("offsets"), hidden = in_->find("hidden");
  if (!offsets || offsets->type != dtype::i64 || offsets->shape != std::vector<std::uint64_t>{count + 1} || !hidden ||
      hidden->type != dtype::f32 || hidden->shape.size() != 2)
    fail("not_a_cache", "offsets (I64) and hidden (F32)", "others");
  offsets_.resize(count + 1);
  in_->read("offsets", std::as_writable_bytes(std::span(offsets_)));
  width_ = std::size_t(hidden->shape[1]);
  bool rising = offsets_.front() == 0 && std::uint64_t(offsets_.back()) == hidden->shape[0];
  for (std::size_t i = 0; i < count; ++i) rising = rising && offsets_[i] <= offsets_[i + 1];
  if (!rising) fail("not_a_cache", "offsets that rise from 0 to the rows", "others");
  checksum sum;
  sum.add(std::as_bytes(std::span(offsets_)));
  const std::uint64_t bytes = hidden->shape[0] * hidden->shape[1] * sizeof(float);
  std::vector<std::byte> piece(std::size_t(std::min<std::uint64_t>(bytes, 1 << 20)));
  for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
    const auto part = std::span(piece).first(std::size_t(std::min<std::uint64_t>(piece.size(), bytes - at)));
    in_->read_part("hidden", at, part);
    sum.add(part);
  }
  if (said("modx.xxh128") != sum.hex()) fail("bad_checksum", "xxh128 " + show(said("modx.xxh128")), sum.hex());
}

inline hidden_cache::hidden_cache(std::filesystem::path file, const hidden_key& key, std::span<const text> texts,
                                  const compute& f, const std::function<void(const std::string&)>& say,
                                  const progress_call& progress, std::size_t batch)
    : file_(std::move(file)) {
  expect_positive("hidden_cache", "texts at a time", static_cast<long long>(batch));
  std::unordered_map<std::string, std::size_t> known;
  std::vector<const text*> distinct;
  checksum of_texts;
  for (const auto& t : texts) {
    if (t.empty()) throw error("hidden_cache, text " + std::to_string(index_.size()), "at least one token", "none");
    const auto [at, fresh] = known.emplace(std::string(reinterpret_cast<const char*>(t.data()), t.size() * sizeof(t[0])), distinct.size());
    if (fresh) distinct.push_back(&t), of_texts.add(std::uint64_t{t.size()}).add(std::as_bytes(std::span(t)));
    index_.push_back(at->second);
  }
  checksum of_all;
  of_all.add(key.weights).add(key.tokenizer).add(std::uint64_t{key.layer}).add(of_texts.hex());
  if (key.bf16) of_all.add("bf16");
  const std::string sum = of_all.hex();
  std::error_code ignored;
  if (std::filesystem::exists(file_, ignored)) {
    try {
      open(sum, distinct.size());
      return;
    } catch (const io_error& e) {
      in_.reset();
      if (e.code() == "open_failed") throw;
      if (say) say(std::string("computed again: ") + e.what());
    }
  }
  std::vector<std::int64_t> offsets{0};
  std::vector<float> hidden;
  std::size_t width = 0;
  for (std::size_t i = 0; i < distinct.size(); i += batch) {
    if (progress) progress(i, distinct.size());
    const auto some = std::span(distinct).subspan(i, std::min(batch, distinct.size() - i));
    const auto states = f(some);
    std::size_t tokens = 0;
    for (const auto* t : some) offsets.push_back(offsets.back() + std::int64_t(t->size())), tokens += t->size();
    if (states.rows != tokens || (width && states.cols != width))
      throw error("hidden_cache, computed hidden states", std::to_string(tokens) + " x " + std::to_string(width ? width : states.cols),
                  std::to_string(states.rows) + " x " + std::to_string(states.cols));
    width = states.cols;
    hidden.insert(hidden.end(), states.data.begin(), states.data.end());
  }
  if (progress) progress(distinct.size(), distinct.size());
  const tensor_entry entries[] = {
      {"hidden", dtype::f32, {std::uint64_t(offsets.back()), width}, std::as_bytes(std::span(hidden))},
      {"offsets", dtype::i64, {offsets.size()}, std::as_bytes(std::span(offsets))}};
  write_safetensors(file_, entries, {{"modx.hidden", "1"}, {"modx.key", sum}, {"modx.xxh128", data_sum(offsets, hidden)}});
  open(sum, distinct.size());
}

inline matrix<float> hidden_cache::rows(std::span<const std::int32_t> of, std::vector<std::size_t>& lengths) const {
  lengths.clear();
  std::size_t tokens = 0;
  for (const auto i : of) {
    if (i < 0 || std::size_t(i) >= size()) throw error("hidden_cache", "texts below " + std::to_string(size()), std::to_string(i));
    lengths.push_back(length(std::size_t(i)));
    tokens += lengths.back();
  }
  matrix<float> out(tokens, width_);
  std::size_t at = 0;
  for (const auto i : of) {
    const auto first = std::uint64_t(offsets_[index_[std::size_t(i)]]);
    const std::size_t n = length(std::size_t(i)) * width_;
    in_->read_part("hidden", first * width_ * sizeof(float), std::as_writable_bytes(std::span(out.data).subspan(at, n)));
    at += n;
  }
  return out;
}

}  // namespace modx::io
