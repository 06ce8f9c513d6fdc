// The generated corpus: three grammars whose texts say which domain they are of.
#pragma once
#include <array>
#include <modx/random.hpp>
#include <set>
#include <string>
#include <vector>

namespace moe_lm {

/// Texts and the domain of each.
struct text_set {
  std::vector<std::string> text;
  std::vector<std::int32_t> domain;
};

namespace grammar {

/// Random numbers of one text, in turn.
class draws {
  modx::random_stream stream_;
  std::uint64_t at_ = 0;

 public:
  draws(std::uint64_t seed, const std::string& purpose, std::uint64_t text) : stream_(seed, purpose, text) {}
  int below(int n) { return int(stream_.below(at_++, std::uint64_t(n))); }
  std::string number(int n) { return std::to_string(below(n)); }
  template <std::size_t N>
  std::string one(const std::array<const char*, N>& words) {
    return words[std::size_t(below(int(N)))];
  }
};

/// Sums, differences and products that are right, each going on from the last result.
inline std::string arithmetic(draws& d) {
  std::string out;
  int left = d.below(100);
  for (int line = 0; line < 8; ++line) {
    const int kind = left > 999 ? 1 : d.below(3), right = kind == 2 ? d.below(10) : d.below(100);
    const int result = kind == 0 ? left + right : kind == 1 ? left - right : left * right;
    out += std::to_string(left) + " " + "+-*"[kind] + " " + std::to_string(right) + " = " +
           std::to_string(result) + "\n";
    left = result < 0 ? d.below(100) : result;
  }
  return out;
}

/// A function of two variables, whose names are the ones it uses.
inline std::string code(draws& d) {
  static constexpr std::array names{"a", "b", "n", "x", "y", "left", "right", "total"};
  static constexpr std::array verbs{"count", "find", "join", "limit", "merge", "scale"};
  static constexpr std::array operators{"+", "-", "*"};
  const int first = d.below(8), p = first, q = (first + 1 + d.below(7)) % 8;
  const std::string x = names[std::size_t(p)], y = names[std::size_t(q)];
  const auto any = [&] { return d.below(2) ? x : y; };
  std::string out = "def " + d.one(verbs) + "_" + x + "(" + x + ", " + y + "):\n";
  std::string indent = "    ";
  for (int line = 0, lines = 2 + d.below(3); line < lines; ++line) {
    switch (d.below(3)) {
      case 0:
        out += indent + any() + " = " + any() + " " + d.one(operators) + " " + d.number(10) + "\n";
        break;
      case 1:
        out += indent + "if " + any() + " > " + d.number(10) + ":\n" + indent + "    return " + any() + "\n";
        break;
      default:
        out += indent + "while " + x + " < " + y + ":\n" + indent + "    " + x + " = " + x + " + 1\n";
    }
  }
  return out + indent + "return " + any() + " " + d.one(operators) + " " + any() + "\n";
}

/// Sentences whose verbs agree with their subjects and whose pronouns go on with the same ones.
inline std::string prose(draws& d) {
  static constexpr std::array nouns{"sailor", "teacher", "child", "painter", "farmer", "doctor"};
  static constexpr std::array things{"the boat",   "the letter", "a lamp",
                                     "the garden", "an old map", "the bridge"};
  static constexpr std::array adjectives{"quiet ", "young ", "tall ", "", "", "tired "};
  static constexpr std::array verbs{"see", "paint", "remember", "leave", "want", "need"};
  static constexpr std::array places{" near the river", " in the morning", " at home", "", "",
                                     " by the harbour"};
  std::string out;
  for (int sentence = 0; sentence < 4; ++sentence) {
    const bool many = d.below(2);
    out += std::string(many ? "Two " : "The ") + d.one(adjectives) + d.one(nouns) + (many ? "s " : " ");
    out += d.one(verbs) + (many ? " " : "s ") + d.one(things) + d.one(places) + ". ";
    if (d.below(2))
      out += std::string(many ? "They " : "Then it ") + d.one(verbs) + (many ? " " : "s ") + d.one(things) +
             ". ";
  }
  out.back() = '\n';
  return out;
}

}  // namespace grammar

inline const std::vector<std::string>& corpus_domains() {
  static const std::vector<std::string> names{"arithmetic", "code", "prose"};
  return names;
}

/// What --appear holds back: code.
inline constexpr std::int32_t appearing_domain = 1;

/// `count` texts, domains in turn, none of which is in `without`.
inline text_set generate(std::uint64_t seed, const std::string& part, std::size_t count,
                         const text_set& without = {}) {
  const std::set<std::string> taken(without.text.begin(), without.text.end());
  text_set out;
  for (std::uint64_t i = 0; out.text.size() < count; ++i) {
    const auto domain = std::int32_t(out.text.size() % 3);
    grammar::draws d(seed, "corpus/" + part, i);
    auto text = domain == 0 ? grammar::arithmetic(d) : domain == 1 ? grammar::code(d) : grammar::prose(d);
    if (taken.contains(text)) continue;
    out.text.push_back(std::move(text));
    out.domain.push_back(domain);
  }
  return out;
}

}  // namespace moe_lm
