// Finds tokens that are words of their own in a text: the leftmost, and the longest of those that begin
// there.
#pragma once
#include <bitset>
#include <map>
#include <modx/text/merges.hpp>
#include <string_view>
#include <vector>

namespace modx::text {

/// A trie of words with their tokens.
class word_finder {
 public:
  bool empty() const { return nodes_.size() == 1; }
  void insert(std::string_view word, token_id token) {
    std::size_t at = 0;
    for (const char c : word) {
      const auto [next, fresh] = nodes_[at].next.emplace(c, nodes_.size());
      at = next->second;
      if (fresh) nodes_.emplace_back();
    }
    nodes_[at].token = token;
    first_.set(static_cast<unsigned char>(word.front()));
  }

  /// Calls plain(part) and found(token) in the order of the text; no part is empty.
  template <class Plain, class Found>
  void split(std::string_view text, Plain&& plain, Found&& found) const {
    std::size_t begin = 0;
    for (std::size_t i = empty() ? text.size() : 0; i < text.size();) {
      const auto [token, size] = longest(text, i);
      if (size == 0) {
        ++i;
        continue;
      }
      if (i > begin) plain(text.substr(begin, i - begin));
      found(token);
      begin = i += size;
    }
    if (begin < text.size()) plain(text.substr(begin));
  }

 private:
  struct node {
    std::map<char, std::size_t> next;
    token_id token = -1;
  };
  struct match {
    token_id token = -1;
    std::size_t size = 0;
  };

  match longest(std::string_view text, std::size_t i) const {
    match best;
    if (!first_[static_cast<unsigned char>(text[i])]) return best;
    for (std::size_t at = 0, k = i; k < text.size(); ++k) {
      const auto next = nodes_[at].next.find(text[k]);
      if (next == nodes_[at].next.end()) break;
      at = next->second;
      if (nodes_[at].token >= 0) best = {nodes_[at].token, k + 1 - i};
    }
    return best;
  }

  std::vector<node> nodes_ = std::vector<node>(1);
  std::bitset<256> first_;
};

}  // namespace modx::text
