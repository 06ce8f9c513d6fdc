#include <modx/text/tokenizer_json.hpp>

#include "bad_tokenizers.hpp"
#include "catch.hpp"

using namespace modx::test;

namespace {

/// The message after "expected " without the code, "" if there is no error.
std::string sentence_of(const std::string& text, const tokenizer_limits& limits = {}) {
  const std::string what = message_of([&] { parse_tokenizer(text, "t.json", limits); });
  const auto begin = what.find(": expected "), end = what.rfind(" [");
  return begin == what.npos ? what : what.substr(begin + 11, end - begin - 11);
}
std::string code(const std::string& text, const tokenizer_limits& limits = {}) {
  return code_of([&] { parse_tokenizer(text, "t.json", limits); });
}

}  // namespace

TEST_CASE("tokenizer_json: malformed files are refused, each with its error", "[text]") {
  std::size_t count = 0;
  const auto check = [&](const std::string& name, const std::string& text, const std::string& expected,
                         const std::string& sentence) {
    INFO(name);
    CHECK(code(text) == expected);
    const std::string found = sentence_of(text);
    CHECK((sentence == "JSON, found" ? found.substr(0, sentence.size()) : found) == sentence);
    ++count;
  };
  CHECK(code(good_tokenizer().dump()) == "");
  for (const auto& b : bad_tokenizers()) {
    json j = good_tokenizer();
    b.edit(j);
    check(b.name, j.dump(), b.code, b.sentence);
  }
  for (const auto& b : bad_texts()) check(b.name, b.text, b.code, b.sentence);
  CHECK(count >= 170);
}

TEST_CASE("tokenizer_json: an error in the text has its place", "[text]") {
  const std::string good = good_tokenizer().dump();
  const auto at = good.find("\"a\":97");
  const auto text = std::string(good).replace(at, 6, "\"a\":-7");
  CHECK(message_of([&] { parse_tokenizer(text, "t.json"); }) ==
        "modx: \"t.json\" at byte " + std::to_string(at + 7) +
            ": expected an id for each token of model.vocab, found a negative number [bad_vocab]");
}

TEST_CASE("tokenizer_json: every truncation and every bit flip is refused or a tokenizer", "[text]") {
  const std::string good = small_json({{"h", "e"}}).dump();
  for (std::size_t n = 0; n < good.size(); ++n) REQUIRE(code(good.substr(0, n)) == "bad_json");
  std::size_t taken = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string s = good;
    s[i] = static_cast<char>(s[i] ^ 1 << i % 8);
    try {
      const tokenizer t(parse_tokenizer(s, "t.json"));
      const std::string text = "he hello <end>\xe4\xb8\xad";
      REQUIRE(t.decode(t.encode(text)) == text);
      ++taken;
    } catch (const modx::io::io_error&) {
    }
  }
  CHECK(taken < good.size() / 20);
}

TEST_CASE("tokenizer_json: limits, at and above", "[text]") {
  const std::string good = good_tokenizer().dump();
  CHECK(code(good, {.file = good.size()}) == "");
  CHECK(code(good, {.file = good.size() - 1}) == "too_large");
  CHECK(code(good, {.tokens = 259}) == "");
  CHECK(code(good, {.tokens = 258}) == "too_many_tokens");
  json merges = good_tokenizer();
  for (int i = 0; i < 257; ++i) merges["model"]["merges"].push_back("a b");
  CHECK(code(merges.dump(), {.tokens = 259}) == "too_many_tokens");
  CHECK(code(merges.dump(), {.tokens = 260}) == "unknown_token");
  CHECK(code(good, {.string = 125}) == "string_too_long");
  CHECK(code(good, {.values = 5}) == "too_many_values");
  CHECK(code(good, {.added_token = 5}) == "");
  CHECK(code(good, {.added_token = 4}) == "token_too_long");
}

TEST_CASE("tokenizer_json: files", "[text]") {
  temp_folder dir;
  put(dir / "t.json", good_tokenizer().dump(2));
  CHECK(tokenizer(dir / "t.json").encode("hell") == ids{258});
  CHECK(code_of([&] { tokenizer(dir / "none.json"); }) == "not_found");
  CHECK(code_of([&] { tokenizer(dir.path()); }) == "not_regular_file");
  CHECK(code_of([&] { tokenizer(dir / "t.json", {.file = 100}); }) == "too_large");
  put(dir / "bad.json", "{");
  CHECK(message_of([&] { tokenizer(dir / "bad.json"); }).find("bad.json\" at byte ") != std::string::npos);
}

TEST_CASE("tokenizer_json: fields in any order, absent where they have a default", "[text]") {
  json j = good_tokenizer();
  for (const char* key : {"version", "truncation", "padding", "post_processor", "normalizer", "added_tokens"})
    j.erase(key);
  for (const char* key :
       {"dropout", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges", "end_of_word_suffix"})
    j["model"].erase(key);
  j["model"]["continuing_subword_prefix"] = nullptr;
  CHECK(make(j).encode("hell") == ids{258});
  const std::string model = j["model"].dump(), rest = j["pre_tokenizer"].dump(),
                    decoder = j["decoder"].dump();
  for (const auto& text :
       {"{\"model\":" + model + ",\"decoder\":" + decoder + ",\"pre_tokenizer\":" + rest + "}",
        "{\"decoder\":" + decoder + ",\"pre_tokenizer\":" + rest + ",\"model\":" + model + "}"})
    CHECK(tokenizer(parse_tokenizer(text, "t.json")).encode("hell") == ids{258});
  const std::string vocab = j["model"]["vocab"].dump(), merges = j["model"]["merges"].dump();
  CHECK(tokenizer(parse_tokenizer("{\"decoder\":" + decoder + ",\"pre_tokenizer\":" + rest +
                                      ",\"model\":{\"merges\":" + merges + ",\"vocab\":" + vocab + "}}",
                                  "t.json"))
            .encode("hell") == ids{258});
}
