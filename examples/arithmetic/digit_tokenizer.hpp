// Texts of the arithmetic tasks as tokens: a digit is one, so is each word, sign and piece of a program.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <modx/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace arithmetic {

/// Greedy, the longest piece first; decode(encode(text)) == text.
class digit_tokenizer {
  static constexpr auto pieces_ = std::to_array<std::string_view>({"",  // the end
                                                                   "0",
                                                                   "1",
                                                                   "2",
                                                                   "3",
                                                                   "4",
                                                                   "5",
                                                                   "6",
                                                                   "7",
                                                                   "8",
                                                                   "9",
                                                                   "What is ",
                                                                   " plus ",
                                                                   " minus ",
                                                                   " times ",
                                                                   " divided by ",
                                                                   "?",
                                                                   " + ",
                                                                   " - ",
                                                                   " * ",
                                                                   " / ",
                                                                   " = ",
                                                                   "-",
                                                                   "+",
                                                                   " ",
                                                                   "\n",
                                                                   "Answer: ",
                                                                   "Expression: ",
                                                                   "Program:",
                                                                   "Step ",
                                                                   ": ",
                                                                   "x",
                                                                   "Decompose",
                                                                   " the",
                                                                   " following",
                                                                   " arithmetic",
                                                                   " expression",
                                                                   " into",
                                                                   " step",
                                                                   "-by-",
                                                                   "step",
                                                                   " computation",
                                                                   " using",
                                                                   " variables",
                                                                   ",",
                                                                   " ...",
                                                                   " x",
                                                                   "plus",
                                                                   "minus",
                                                                   "times",
                                                                   "divided by",
                                                                   "*",
                                                                   "/",
                                                                   "=",
                                                                   ":"});
  std::vector<std::int32_t> longest_first_;

 public:
  digit_tokenizer() {
    for (std::size_t i = 1; i < pieces_.size(); ++i) longest_first_.push_back(std::int32_t(i));
    std::stable_sort(longest_first_.begin(), longest_first_.end(), [](std::int32_t a, std::int32_t b) {
      return pieces_[std::size_t(a)].size() > pieces_[std::size_t(b)].size();
    });
  }
  std::size_t size() const { return pieces_.size(); }
  /// The token after the last one of a text; it stands for no characters.
  std::int32_t end() const { return 0; }

  /// Throws modx::error, with the place, for a character that no piece begins with.
  std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> out;
    for (std::size_t at = 0; at < text.size();) {
      const auto found = std::find_if(longest_first_.begin(), longest_first_.end(), [&](std::int32_t id) {
        return text.substr(at).starts_with(pieces_[std::size_t(id)]);
      });
      if (found == longest_first_.end()) {
        std::string shown;
        for (const char c : text.substr(at, 20)) shown += c >= ' ' && c <= '~' ? c : '?';
        throw modx::error("digit_tokenizer, character " + std::to_string(at + 1),
                          "a digit, a sign or a word of the arithmetic tasks", "\"" + shown + "\"");
      }
      out.push_back(*found);
      at += pieces_[std::size_t(*found)].size();
    }
    return out;
  }
  /// Throws modx::error for an id that is none.
  std::string decode(const std::vector<std::int32_t>& ids) const {
    std::string text;
    for (const auto id : ids) {
      if (id < 0 || std::size_t(id) >= pieces_.size())
        throw modx::error("digit_tokenizer", "ids from 0 to " + std::to_string(pieces_.size() - 1),
                          std::to_string(id));
      text += pieces_[std::size_t(id)];
    }
    return text;
  }
};

}  // namespace arithmetic
