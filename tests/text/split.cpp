#include <modx/text/split.hpp>

#include "catch.hpp"
#include "text_support.hpp"

using namespace modx::test;

namespace {

using words = std::vector<std::string>;
words split(split_pattern p, std::string_view text) {
  static const word_splitter gpt2(split_pattern::gpt2), qwen(split_pattern::qwen);
  words out;
  (p == split_pattern::gpt2 ? gpt2 : qwen).split(text, [&](std::string_view w) { out.emplace_back(w); });
  return out;
}
words qwen(std::string_view text) { return split(split_pattern::qwen, text); }
words gpt2(std::string_view text) { return split(split_pattern::gpt2, text); }

}  // namespace

TEST_CASE("split: Qwen's words", "[text]") {
  CHECK(qwen("") == words{});
  CHECK(qwen("Hello, world!") == words{"Hello", ",", " world", "!"});
  CHECK(qwen("I'm here, YOU'LL see'") == words{"I", "'m", " here", ",", " YOU", "'LL", " see", "'"});
  CHECK(qwen("12 + 345") == words{"1", "2", " +", " ", "3", "4", "5"});
  CHECK(qwen("a  b") == words{"a", " ", " b"});
  CHECK(qwen("a  ") == words{"a", "  "});
  CHECK(qwen("a \n\n  b") == words{"a", " \n\n", " ", " b"});
  CHECK(qwen("x=1;\n\ty") == words{"x", "=", "1", ";\n", "\ty"});
  CHECK(qwen("(a_b)") == words{"(a", "_b", ")"});
  CHECK(qwen("\r\na") == words{"\r\n", "a"});
  CHECK(qwen("caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87") == words{"caf\xc3\xa9", " \xe4\xb8\xad\xe6\x96\x87"});
  CHECK(qwen("e\xcc\x81x") == words{"e", "\xcc\x81x"});              // a mark is no letter
  CHECK(qwen("\xd9\xa1\xd9\xa2") == words{"\xd9\xa1", "\xd9\xa2"});  // Arabic digits are numbers
  CHECK(qwen("\xf0\x9f\x98\x80!\n") == words{"\xf0\x9f\x98\x80!\n"});
  CHECK(qwen(std::string("a\0b", 3)) == words{"a", std::string("\0b", 2)});
}

TEST_CASE("split: what is white space and a contraction in the reference", "[text]") {
  CHECK(qwen("a\xc2\x85\xc2\x85"
             "b") == words{"a", "\xc2\x85",
                           "\xc2\x85"
                           "b"});  // U+0085 is
  CHECK(qwen("!\xc2\x85!") == words{"!", "\xc2\x85", "!"});
  CHECK(qwen("!\xe1\xa0\x8e!") == words{"!\xe1\xa0\x8e!"});  // U+180E is not
  CHECK(qwen("!\xef\xbb\xbf!") == words{"!\xef\xbb\xbf!"});  // U+FEFF is not
  for (const std::uint32_t p : {0x09u, 0x0bu, 0x0cu, 0x85u, 0xa0u, 0x1680u, 0x2000u, 0x200au, 0x2028u,
                                0x2029u, 0x202fu, 0x205fu, 0x3000u})
    for (const auto pattern : {split_pattern::qwen, split_pattern::gpt2})
      CHECK(split(pattern, "!" + utf8(p) + utf8(p) + "1").size() == 4);
  CHECK(qwen("it'\xc5\xbfx") == words{"it", "'\xc5\xbf", "x"});  // the long s is an s in any case
  CHECK(gpt2("it'S") == words{"it", "'", "S"});                  // GPT-2 knows lower case only
}

TEST_CASE("split: GPT-2's words", "[text]") {
  CHECK(gpt2("Hello, world!") == words{"Hello", ",", " world", "!"});
  CHECK(gpt2("12 + 345") == words{"12", " +", " 345"});
  CHECK(gpt2("I'm (a_b)\n\n x") == words{"I", "'m", " (", "a", "_", "b", ")", "\n\n", " x"});
  CHECK(gpt2("a  b ") == words{"a", " ", " b", " "});
}

TEST_CASE("split: the words are the text, whatever it is", "[text]") {
  dice d(2);
  const std::vector<std::string> parts = {"a",
                                          "Z",
                                          "'s",
                                          "'LL",
                                          " ",
                                          "  ",
                                          "\n",
                                          "\r\n",
                                          "\t",
                                          "1",
                                          "\xd9\xa1",
                                          "!",
                                          "_",
                                          "\xc3\xa9",
                                          "\xcc\x81",
                                          "\xe4\xb8\xad",
                                          "\xf0\x9f\x98\x80",
                                          "\xc2\x85",
                                          "\xe3\x80\x80"};
  for (int round = 0; round < 5'000; ++round) {
    std::string s, joined;
    for (std::uint32_t n = d.below(30); n > 0; --n) s += d.below(5) == 0 ? utf8(any_point(d)) : d.of(parts);
    for (const auto pattern : {split_pattern::qwen, split_pattern::gpt2}) {
      joined.clear();
      for (const auto& w : split(pattern, s)) {
        REQUIRE_FALSE(w.empty());
        joined += w;
      }
      REQUIRE(joined == s);
    }
  }
}

TEST_CASE("split: long runs are one word and take no stack", "[text]") {
  for (const std::string part : {"a", " ", "!", "\n", "\xe4\xb8\xad", "\xe3\x80\x80", "\xcc\x81"}) {
    std::string s;
    while (s.size() < 3'000'000) s += part;
    CHECK(qwen(s) == words{s});
    CHECK(gpt2(s) == words{s});
  }
}
