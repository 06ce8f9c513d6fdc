// A data set of texts of any length on the device: token ids, or hidden states under a frozen prefix; a label and a domain id each.
#pragma once
#include <modx/dataset.hpp>

namespace modx {

/// Text i is rows offsets[i] to offsets[i + 1] of `tokens`; nothing is padded.
template <Backend B>
struct sequence_dataset {
  device_matrix<B> tokens;            // of all texts, one behind the other; ids are one column
  std::vector<std::int32_t> offsets;  // one more than texts
  std::vector<std::int32_t> label, domain;

  std::size_t size() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  /// Throws unless all of them are texts of this data set.
  void expect_rows(const char* where, ids id) const { detail::expect_rows(where, size(), id); }
  /// The tokens of texts `id`; the step's context gets where the texts end, and their domains (one a text, for what stands
  /// behind pooling).
  var<B> batch(tape<B>& t, ids id) const {
    expect_rows("sequence_dataset::batch", id);
    detail::put_domains("sequence_dataset::batch", t, domain, size(), id);
    auto* lengths = t.template host<std::size_t>(id.size());
    std::size_t n = 0;
    for (std::size_t i = 0; i < id.size(); ++i) {
      const auto first = offsets[std::size_t(id[i])], end = offsets[std::size_t(id[i]) + 1];
      if (first < 0 || end <= first || std::size_t(end) > tokens.rows())
        throw error("sequence_dataset, text " + std::to_string(id[i]), "one token or more of " + std::to_string(tokens.rows()),
                    std::to_string(first) + " to " + std::to_string(end));
      n += lengths[i] = std::size_t(end - first);
    }
    auto* rows = t.template host<std::int32_t>(n);
    std::size_t at = 0;
    for (const auto i : id)
      for (auto row = offsets[std::size_t(i)]; row < offsets[std::size_t(i) + 1]; ++row) rows[at++] = row;
    t.context.sequence = t.sequences_of(std::span<const std::size_t>(lengths, id.size()));
    return ops::take_rows(t.tensor(tokens.data(), tokens.rows(), tokens.columns()), t.input(ids(rows, n)), n);
  }
};

/// Texts as lists of token ids.
template <Backend B>
sequence_dataset<B> make_texts(B& backend, std::span<const std::vector<std::int32_t>> texts, std::vector<std::int32_t> label,
                               std::vector<std::int32_t> domain = {}) {
  matrix<typename B::scalar> tokens(0, 1);
  std::vector<std::int32_t> offsets{0};
  for (const auto& text : texts) {
    for (const auto id : text) tokens.data.push_back(typename B::scalar(id));
    if (tokens.data.size() > 0x7fffffff) throw error("make_texts", "fewer than 2^31 tokens", "more");
    offsets.push_back(std::int32_t(tokens.data.size()));
  }
  tokens.rows = tokens.data.size();
  return {{backend, tokens, 1}, std::move(offsets), std::move(label), std::move(domain)};
}

}  // namespace modx
