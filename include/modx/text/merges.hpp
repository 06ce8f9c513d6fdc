// Byte-pair encoding: the adjacent pair of least rank is merged, the leftmost of equals first, until no pair
// has a rank. Source: Sennrich, Haddow, Birch: Neural Machine Translation of Rare Words with Subword Units
// (2016).
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace modx::text {

using token_id = std::int32_t;

/// (left, right) -> rank and merged token.
class merge_table {
 public:
  static constexpr std::uint32_t none = 0xffffffff;
  struct entry {
    std::uint64_t pair = 0;
    std::uint32_t rank = none;
    token_id merged = 0;
  };

  /// Room for `count` merges; `seed` should not be known to who wrote them, so that they can't choose where
  /// they fall.
  explicit merge_table(std::size_t count = 0, std::uint64_t seed = 0)
      : slots_(std::bit_ceil(2 * count + 2)), shift_(64 - std::countr_zero(slots_.size())), seed_(seed) {}

  /// False if the pair has a rank already.
  bool insert(token_id left, token_id right, std::uint32_t rank, token_id merged) {
    entry& e = slots_[place(key(left, right))];
    if (e.rank != none) return false;
    e = {key(left, right), rank, merged};
    return true;
  }
  /// The pair's entry; its rank is `none` where there is none.
  const entry& find(token_id left, token_id right) const { return slots_[place(key(left, right))]; }

 private:
  static std::uint64_t key(token_id left, token_id right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t pair) const {
    std::uint64_t h = (pair ^ seed_) * 0x9e3779b97f4a7c15u;
    h = ((h ^ h >> 32) + seed_) * 0xd6e8feb86659fd93u;
    auto at = static_cast<std::size_t>(h >> shift_);
    while (slots_[at].rank != none && slots_[at].pair != pair) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  std::vector<entry> slots_;  // at most half full
  int shift_;
  std::uint64_t seed_;
};

/// Merges `tokens` in place and shrinks them, looking at each pair again after each merge: best for short
/// words.
inline void merge_short(const merge_table& table, std::vector<token_id>& tokens) {
  std::uint32_t small[32];
  std::vector<std::uint32_t> large(tokens.size() > 32 ? tokens.size() : 0);
  std::uint32_t* const rank = large.empty() ? small : large.data();
  std::size_t n = tokens.size();
  const auto look = [&](std::size_t i) { rank[i] = table.find(tokens[i], tokens[i + 1]).rank; };
  for (std::size_t i = 0; i + 1 < n; ++i) look(i);
  while (n > 1) {
    const std::size_t i = static_cast<std::size_t>(std::min_element(rank, rank + n - 1) - rank);
    if (rank[i] == merge_table::none) break;
    tokens[i] = table.find(tokens[i], tokens[i + 1]).merged;
    --n;
    for (std::size_t k = i + 1; k < n; ++k) tokens[k] = tokens[k + 1], rank[k - 1] = rank[k];
    if (i + 1 < n) look(i);
    if (i > 0) look(i - 1);
  }
  tokens.resize(n);
}

/// The same by a heap of (rank, position) and a linked list, n log n; returns how many entries the heap was
/// given.
inline std::size_t merge_long(const merge_table& table, std::vector<token_id>& tokens) {
  struct node {
    std::uint32_t previous, next, rank;  // rank of the pair that begins here
  };
  const auto n = static_cast<std::uint32_t>(tokens.size());
  if (n < 2) return 0;
  std::vector<node> nodes(n);
  std::vector<std::uint64_t> heap;
  const auto entry = [&](std::uint32_t i) { return std::uint64_t{nodes[i].rank} << 32 | i; };
  for (std::uint32_t i = 0; i < n; ++i) {
    nodes[i] = {i - 1, i + 1, i + 1 < n ? table.find(tokens[i], tokens[i + 1]).rank : merge_table::none};
    if (nodes[i].rank != merge_table::none) heap.push_back(entry(i));
  }
  std::size_t entries = heap.size();
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto look = [&](std::uint32_t i) {
    const std::uint32_t next = nodes[i].next;
    nodes[i].rank = next < n ? table.find(tokens[i], tokens[next]).rank : merge_table::none;
    if (nodes[i].rank == merge_table::none) return;
    heap.push_back(entry(i));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
    ++entries;
  };
  while (!heap.empty()) {
    const auto i = static_cast<std::uint32_t>(heap.front());
    const auto rank = static_cast<std::uint32_t>(heap.front() >> 32);
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    if (nodes[i].rank != rank) continue;  // stale: the pair is no more
    const std::uint32_t gone = nodes[i].next, after = nodes[gone].next;
    tokens[i] = table.find(tokens[i], tokens[gone]).merged;
    nodes[gone].rank = merge_table::none;
    nodes[i].next = after;
    if (after < n) nodes[after].previous = i;
    look(i);
    if (i != 0) look(nodes[i].previous);
  }
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < n; i = nodes[i].next) tokens[kept++] = tokens[i];
  tokens.resize(kept);
  return entries;
}

}  // namespace modx::text
