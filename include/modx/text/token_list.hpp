// Tokens as bytes: by id, and the id by bytes.
#pragma once
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include <cstdint>
#include <modx/text/merges.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace modx::text {

/// Distinct byte strings with ids that may have gaps.
class token_list {
 public:
  /// `seed`: as merge_table's.
  explicit token_list(std::uint64_t seed = 0) : slots_(1024, -1), seed_(seed) {}

  /// How many there are.
  std::size_t count() const { return count_; }
  /// One more than the largest id.
  std::size_t size() const { return places_.size(); }
  bool has(token_id id) const {
    return id >= 0 && static_cast<std::size_t>(id) < size() &&
           places_[static_cast<std::size_t>(id)].begin != gap;
  }
  /// The bytes of a token that there is.
  std::string_view bytes(token_id id) const {
    const auto& p = places_[static_cast<std::size_t>(id)];
    return std::string_view(text_).substr(p.begin, p.size);
  }
  /// -1 where there is none, or none to be found.
  token_id find(std::string_view bytes) const { return slots_[slot(bytes)]; }

  /// Needs a new id, new bytes if they are to be `found`, and fewer than 4 GiB of bytes in all.
  void insert(token_id id, std::string_view bytes, bool found = true) {
    if (2 * count_ + 2 > slots_.size()) grow();
    const auto i = static_cast<std::size_t>(id);
    if (i >= size()) places_.resize(i + 1);
    places_[i] = {static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(bytes.size())};
    text_ += bytes;
    ++count_;
    if (found) slots_[slot(bytes)] = id;
  }

 private:
  static constexpr std::uint32_t gap = 0xffffffff;
  struct place {
    std::uint32_t begin = gap, size = 0;
  };

  std::size_t slot(std::string_view bytes) const {
    const std::size_t mask = slots_.size() - 1;
    auto at = static_cast<std::size_t>(XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed_)) & mask;
    while (slots_[at] >= 0 && this->bytes(slots_[at]) != bytes) at = (at + 1) & mask;
    return at;
  }
  void grow() {
    std::vector<token_id> old(2 * slots_.size(), -1);
    slots_.swap(old);
    for (const token_id id : old)
      if (id >= 0) slots_[slot(bytes(id))] = id;
  }

  std::string text_;
  std::vector<place> places_;
  std::vector<token_id> slots_;  // at most half full
  std::size_t count_ = 0;
  std::uint64_t seed_;
};

}  // namespace modx::text
