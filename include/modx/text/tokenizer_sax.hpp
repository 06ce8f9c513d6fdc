// The events of a tokenizer.json: its vocabulary and merges streamed into flat records, the small rest into a
// tree.
#pragma once
#include <modx/io/json_text.hpp>
#include <modx/text/merges.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modx::text {

/// What a tokenizer.json may hold at most.
struct tokenizer_limits {
  std::uint64_t file = 64u << 20;  ///< bytes
  std::size_t tokens = 4u << 20;   ///< of the vocabulary; added ones; merges
  std::size_t string = 1u << 16;   ///< bytes of a string
  std::size_t values = 1u << 17;   ///< of JSON beside vocabulary and merges
  std::size_t added_token = 256;   ///< bytes of an added token
};

namespace detail {

/// Strings one after the other.
struct string_pile {
  std::string text;
  std::vector<std::uint32_t> ends;
  void push(std::string_view s) {
    text += s;
    ends.push_back(static_cast<std::uint32_t>(text.size()));
  }
  std::size_t size() const { return ends.size(); }
  std::string_view operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
};

/// Takes nlohmann's events; `model.vocab` and `model.merges` are `true` in the tree.
class tokenizer_sax {
 public:
  tokenizer_sax(std::string_view text, const std::filesystem::path& file, const tokenizer_limits& limits)
      : tree(text, file, 0, limits.values), limits_(limits) {}

  io::detail::json_builder tree;
  string_pile vocab, merges;  // merges: left and right in turn
  std::vector<token_id> ids;
  bool vocab_seen = false, merges_seen = false;

  void parse() { tree.parse(*this); }

  bool null() { return place_ == place::tree ? tree.null() : misplaced("null"); }
  bool boolean(bool v) { return place_ == place::tree ? tree.boolean(v) : misplaced("a boolean"); }
  bool number_integer(std::int64_t v) {
    return place_ == place::tree ? tree.number_integer(v) : misplaced("a negative number");
  }
  bool number_float(double v, const std::string& s) {
    return place_ == place::tree ? tree.number_float(v, s)
                                 : misplaced("a number that is no integer below 2^64");
  }
  bool binary(nlohmann::json::binary_t& v) { return tree.binary(v); }
  bool number_unsigned(std::uint64_t v) {
    if (place_ == place::tree) return tree.number_unsigned(v);
    if (place_ != place::vocab) return misplaced("a number");
    if (v >= 4 * limits_.tokens)
      return tree.fail("bad_id", "ids below " + std::to_string(4 * limits_.tokens), std::to_string(v));
    ids.push_back(static_cast<token_id>(v));
    return true;
  }
  bool string(std::string& s) {
    if (place_ == place::tree) return tree.string(s);
    if (place_ == place::vocab) return misplaced("a string");
    if (place_ == place::pair) {
      if (++in_pair_ > 2) return misplaced("an array of more than two");
      merges.push(s);
      return true;
    }
    const auto space = s.find(' ');
    if (space == s.npos || space != s.rfind(' ')) return misplaced(io::show(s));
    merges.push(std::string_view(s).substr(0, space));
    merges.push(std::string_view(s).substr(space + 1));
    return enough_merges();
  }
  bool key(std::string& k) {
    if (place_ == place::vocab) {
      if (vocab.size() == limits_.tokens)
        return tree.fail("too_many_tokens", "at most " + std::to_string(limits_.tokens) + " tokens", "more");
      vocab.push(k);
      return true;
    }
    if (tree.depth() == 1) in_model_ = k == "model";
    wanted_ = !in_model_ || tree.depth() != 2 ? place::tree
              : k == "vocab"                  ? place::vocab
              : k == "merges"                 ? place::merges
                                              : place::tree;
    return tree.key(k);
  }
  bool start_object(std::size_t n) {
    if (place_ != place::tree) return misplaced("an object");
    if (std::exchange(wanted_, place::tree) == place::vocab) return place_ = place::vocab, vocab_seen = true;
    return tree.start_object(n);
  }
  bool end_object() { return place_ == place::vocab ? leave() : tree.end_object(); }
  bool start_array(std::size_t n) {
    if (place_ == place::merges) return place_ = place::pair, in_pair_ = 0, true;
    if (place_ != place::tree) return misplaced("an array");
    if (std::exchange(wanted_, place::tree) == place::merges)
      return place_ = place::merges, merges_seen = true;
    return tree.start_array(n);
  }
  bool end_array() {
    if (place_ == place::merges) return leave();
    if (place_ == place::tree) return tree.end_array();
    if (in_pair_ != 2) return misplaced("an array of fewer than two");
    place_ = place::merges;
    return enough_merges();
  }
  bool parse_error(std::size_t at, const std::string& token, const nlohmann::json::exception& e) {
    return tree.parse_error(at, token, e);
  }

 private:
  enum class place { tree, vocab, merges, pair };

  bool leave() { return place_ = place::tree, tree.boolean(true); }
  bool enough_merges() {
    return merges.size() <= 2 * limits_.tokens ||
           tree.fail("too_many_tokens", "at most " + std::to_string(limits_.tokens) + " merges", "more");
  }
  bool misplaced(const std::string& found) {
    if (place_ == place::vocab) return tree.fail("bad_vocab", "an id for each token of model.vocab", found);
    return tree.fail("bad_merge", "model.merges of \"left right\" or [\"left\", \"right\"]", found);
  }

  const tokenizer_limits& limits_;
  place place_ = place::tree, wanted_ = place::tree;
  bool in_model_ = false;
  int in_pair_ = 0;
};

}  // namespace detail
}  // namespace modx::text
