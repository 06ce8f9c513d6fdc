#include <modx/text/tokenizer.hpp>

#include <thread>

#include "catch.hpp"
#include "text_support.hpp"

using namespace modx::test;

namespace {

const std::vector<std::pair<std::string, std::string>> english = {
    {"h", "e"}, {"l", "l"},       {"he", "ll"}, {"hell", "o"},
    {" ", "w"}, {"\xc3", "\xa9"}, {"o", "r"},   {" w", "or"}};

std::string small_text(dice& d) {
  const std::vector<std::string> parts = {"hello", " wor",  "h",   "l",       " ",        "\n",
                                          "1",     "<end>", "<en", "<e<end>", "\xc3\xa9", "\xe4\xb8\xad"};
  std::string s;
  for (std::uint32_t n = d.below(12); n > 0; --n) s += d.below(4) == 0 ? utf8(any_point(d)) : d.of(parts);
  return s;
}

}  // namespace

TEST_CASE("tokenizer: text to ids and back", "[text]") {
  const auto t = make(small_json(english));
  CHECK(t.size() == 256 + 8 + 1);
  CHECK(t.count() == t.size());
  CHECK(t.encode("") == ids{});
  CHECK(t.encode("hello wor") == ids{259, 263});
  CHECK(t.encode("hell") == ids{258});
  CHECK(t.encode("hel") == ids{256, 'l'});
  CHECK(t.encode(std::string("\0\x7f", 2)) == ids{0, 0x7f});
  CHECK(t.encode("1") == ids{'1'});
  CHECK(t.decode(ids{259, 263}) == "hello wor");
  ids more{7};
  t.encode("hell", more);
  CHECK(more == ids{7, 258});
  CHECK(t.find("hell") == 258);
  CHECK(t.find("<end>") == 264);
  CHECK_FALSE(t.find("hel").has_value());
  CHECK(t.bytes(259) == "hello");
  CHECK(t.is_special(264));
  CHECK_FALSE(t.is_special(259));
}

TEST_CASE("tokenizer: normal form C is the tokenizer's choice", "[text]") {
  auto j = small_json(english);
  CHECK(make(j).encode("e\xcc\x81") == ids{261});
  j["normalizer"] = nullptr;
  CHECK(make(j).encode("e\xcc\x81") == ids{'e', 0xcc, 0x81});
  CHECK(make(j).encode("\xc3\xa9") == ids{261});
}

TEST_CASE("tokenizer: added tokens are found, or are text", "[text]") {
  auto j = small_json(english, {"<end>", "<end>>", "en"});
  j["added_tokens"][2]["special"] = false;
  const auto t = make(j);
  const token_id end = 264, longer = 265, en = 266;
  CHECK(t.encode("<end>") == ids{end});
  CHECK(t.encode("<end>>>") == ids{longer, '>'});  // the longest
  CHECK(t.encode("<<end>") == ids{'<', end});      // the leftmost
  CHECK(t.encode("<en<end>") == ids{'<', en, end});
  CHECK(t.encode("hello<end>hello") == ids{259, end, 259});
  CHECK(t.encode("<end>", {.added = added_tokens::not_special}) == ids{'<', en, 'd', '>'});
  CHECK(t.encode("<end>hello", {.added = added_tokens::none}) == ids{'<', 'e', 'n', 'd', '>', 259});
  CHECK(t.decode(ids{end, 'h', en}) == "<end>hen");
  CHECK(t.decode(ids{end, 'h', en}, {.skip_special = true}) == "hen");
}

TEST_CASE("tokenizer: an added token stops words, marks and normalisation", "[text]") {
  const auto t = make(small_json(english));
  CHECK(t.encode("hell<end>o") == ids{258, 264, 'o'});
  CHECK(t.encode("e<end>\xcc\x81") == ids{'e', 264, 0xcc, 0x81});
  CHECK(t.encode(" <end> ") == ids{' ', 264, ' '});
}

TEST_CASE("tokenizer: a normalized added token is found in normalised text", "[text]") {
  auto j = small_json(english, {"x\xc3\xa9"});
  const std::string text = "x\xc3\xa9 xe\xcc\x81";
  CHECK(make(j).encode(text) == ids{264, ' ', 'x', 261});
  j["added_tokens"][0]["normalized"] = true;
  CHECK(make(j).encode(text) == ids{264, ' ', 264});
  j["added_tokens"][0]["content"] = "xe\xcc\x81";
  CHECK(make(j).encode(text) == ids{264, ' ', 264});
  CHECK(make(j).encode(text, {.added = added_tokens::none}) == ids{'x', 261, ' ', 'x', 261});
}

TEST_CASE("tokenizer: an added token of the vocabulary keeps its id", "[text]") {
  auto j = small_json(english, {"hello", "\xc3\xa9"});
  j["added_tokens"][0]["id"] = 259;
  j["model"]["vocab"]["\xc3\xa9"] = 0xe9;  // the letter that spells byte e9
  j["added_tokens"][1]["id"] = 264;
  CHECK_THROWS(make(j));  // two ids for one string
  j["added_tokens"].erase(1);
  const auto t = make(j);
  CHECK(t.size() == 264);
  CHECK(t.encode("hello hello") == ids{259, ' ', 259});
  CHECK(t.is_special(259));
  j["model"]["vocab"]["two words"] = 264;  // in no alphabet of bytes
  CHECK_THROWS(make(j));
  j["added_tokens"].push_back(
      {{"id", 264}, {"content", "two words"}, {"special", false}, {"normalized", false}});
  const auto u = make(j);
  CHECK(u.encode("two words") == ids{264});
  CHECK(u.decode(ids{264}) == "two words");
  CHECK(u.find("two words") == 264);
}

TEST_CASE("tokenizer: GPT-2's form", "[text]") {
  const auto t = make(gpt2_json(english));
  CHECK(t.encode("hello wor 12") == ids{259, 263, ' ', '1', '2'});
  CHECK(t.encode("e\xcc\x81") == ids{'e', 0xcc, 0x81});  // no normaliser
  auto j = gpt2_json({{"1", "2"}});
  CHECK(make(j).encode("12") == ids{256});  // one word, which Qwen cuts in two
  CHECK(make(small_json({{"1", "2"}})).encode("12") == ids{'1', '2'});
  j["pre_tokenizer"]["use_regex"] = true;
  j["post_processor"] = nullptr;
  j["model"].erase("type");
  j["model"]["merges"] = {"1 2"};
  CHECK(make(j).encode("12") == ids{256});
}

TEST_CASE("tokenizer: ids may have gaps", "[text]") {
  auto j = small_json();
  j["added_tokens"][0]["id"] = 1000;
  const auto t = make(j);
  CHECK(t.size() == 1001);
  CHECK(t.count() == 257);
  CHECK(t.decode(ids{1000}) == "<end>");
  CHECK(message_of([&] { t.decode(ids{256}); }) ==
        "modx: text::tokenizer: expected a token's id, below 1001, found 256");
}

TEST_CASE("tokenizer: ids out of range are refused", "[text]") {
  const auto t = make(small_json());
  for (const token_id id :
       {-1, 257, 1 << 30, std::numeric_limits<token_id>::min(), std::numeric_limits<token_id>::max()}) {
    const std::string what =
        "modx: text::tokenizer: expected a token's id, below 257, found " + std::to_string(id);
    CHECK(message_of([&] { t.decode(ids{id}); }) == what);
    CHECK(message_of([&] { t.decode_bytes(ids{65, id}); }) == what);
    CHECK(message_of([&] { t.bytes(id); }) == what);
    CHECK(message_of([&] { t.is_special(id); }) == what);
    stream_decoder s(t);
    CHECK(message_of([&] { s.push(id); }) == what);
    CHECK(s.push('A') == "A");
  }
}

TEST_CASE("tokenizer: text that is not UTF-8 is refused with its place, or replaced", "[text]") {
  const auto t = make(small_json(english));
  CHECK(message_of([&] { t.encode("hello\xff wor"); }) ==
        "modx: text::tokenizer: expected text in UTF-8, found \"\\xff wo\" at byte 5");
  ids kept{1, 2};
  CHECK_THROWS(t.encode("a\xed\xa0\x80", kept));
  CHECK(kept == ids{1, 2});
  const encode_options replace{.invalid = invalid_utf8::replace};
  CHECK(t.encode("hello\xff", replace) == ids{259, 0xef, 0xbf, 0xbd});
  CHECK(t.encode("\xe2\x82", replace) == ids{0xef, 0xbf, 0xbd});
  CHECK(t.encode("hello", replace) == ids{259});
}

TEST_CASE("tokenizer: bytes that are no character become U+FFFD, raw bytes stay", "[text]") {
  const auto t = make(small_json());
  CHECK(t.decode(ids{0xe2, 0x82}) == "\xef\xbf\xbd");
  CHECK(t.decode_bytes(ids{0xe2, 0x82}) == "\xe2\x82");
  CHECK(t.decode(ids{0xe2, 0x82, 0xac}) == "\xe2\x82\xac");
  CHECK(t.decode(ids{0xff, 'A'}) ==
        "\xef\xbf\xbd"
        "A");
}

TEST_CASE("tokenizer: the round trip is exact", "[text]") {
  const auto t = make(small_json(english)), gpt2 = make(gpt2_json(english));
  dice d(5);
  for (int round = 0; round < 5'000; ++round) {
    const std::string s = small_text(d);
    REQUIRE(gpt2.decode(gpt2.encode(s)) == s);
    for (const auto added : {added_tokens::all, added_tokens::not_special, added_tokens::none}) {
      const auto found = t.encode(s, {.added = added});
      REQUIRE(nfc(t.decode(found)) == nfc(s));
      if (nfc(s) == s) REQUIRE(t.decode(found) == s);
    }
  }
}

TEST_CASE("tokenizer: a stream gives whole characters and ends as decode does", "[text]") {
  const auto t = make(small_json(english));
  stream_decoder s(t);
  CHECK(s.push(0xe2) == "");
  CHECK(s.push(0x82) == "");
  CHECK(s.push(0xac) == "\xe2\x82\xac");
  CHECK(s.push(0xf0) == "");
  CHECK(s.push('A') ==
        "\xef\xbf\xbd"
        "A");
  CHECK(s.push(0xc3) == "");
  CHECK(s.push(264) == "\xef\xbf\xbd<end>");
  CHECK(s.push(0xc3) == "");
  CHECK(s.finish() == "\xef\xbf\xbd");
  CHECK(s.finish() == "");
  stream_decoder quiet(t, {.skip_special = true});
  CHECK(quiet.push(264) == "");
  dice d(6);
  for (int round = 0; round < 5'000; ++round) {
    ids random(d.below(20));
    for (auto& id : random) id = token_id(d.below(2) == 0 ? d.below(265) : 0x80 + d.below(0x80));
    for (const bool skip : {false, true}) {
      stream_decoder stream(t, {.skip_special = skip});
      std::string text;
      for (const auto id : random) {
        const std::string part = stream.push(id);
        REQUIRE(find_invalid_utf8(part) == part.npos);
        text += part;
      }
      REQUIRE(text + stream.finish() == t.decode(random, {.skip_special = skip}));
    }
  }
}

TEST_CASE("tokenizer: threads share one", "[text]") {
  const auto t = make(small_json(english));
  dice d(7);
  std::vector<std::string> texts(400);
  for (auto& s : texts) s = small_text(d);
  std::vector<ids> alone;
  for (const auto& s : texts) alone.push_back(t.encode(s));
  std::vector<int> right(4);
  std::vector<std::thread> all;
  for (auto& r : right)
    all.emplace_back([&] {
      for (std::size_t i = 0; i < texts.size(); ++i) r += t.encode(texts[i]) == alone[i];
    });
  for (auto& thread : all) thread.join();
  CHECK(right == std::vector<int>(4, 400));
}

TEST_CASE("tokenizer: copies and moves work", "[text]") {
  auto a = make(small_json(english));
  const auto b = a;
  const auto c = std::move(a);
  CHECK(b.encode("hello<end>") == ids{259, 264});
  CHECK(c.encode("hello<end>") == ids{259, 264});
}

TEST_CASE("tokenizer: a word of millions of characters", "[text]") {
  const auto t = make(small_json(english));
  const std::string s(3'000'000, 'l');
  CHECK(t.encode(s) == ids(1'500'000, 257));
}
