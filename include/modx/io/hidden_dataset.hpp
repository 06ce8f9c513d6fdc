// Texts whose hidden states under the first trained block stand in a file, as data for stages, evaluations and map_rows.
#pragma once
#include <modx/dataset.hpp>
#include <modx/io/hidden_cache.hpp>

namespace modx::io {

/// Batches are read from the file as they are asked for; equal texts share their hidden states.
struct hidden_dataset {
  const hidden_cache* cache;
  std::vector<std::int32_t> label, domain;

  std::size_t size() const { return cache->size(); }
  void expect_rows(const char* where, ids id) const { modx::detail::expect_rows(where, size(), id); }
  /// The hidden states of texts `id`; the step's context gets where the texts end, and their domains.
  template <Backend B>
  var<B> batch(tape<B>& t, ids id) const {
    expect_rows("hidden_dataset::batch", id);
    modx::detail::put_domains("hidden_dataset::batch", t, domain, size(), id);
    std::vector<std::size_t> lengths;
    const auto states = cache->rows(id, lengths);
    t.context.sequence = t.sequences_of(lengths);
    return t.input(states);
  }
};

}  // namespace modx::io
