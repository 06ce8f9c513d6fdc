// The digit tokenizer: exact round trips, a token a digit, and the place of what it doesn't know.
#include <arithmetic/digit_tokenizer.hpp>
#include <arithmetic/questions.hpp>
#include <set>

#include "catch.hpp"
#include "support.hpp"

using namespace arithmetic;
using support::contains, support::message;

TEST_CASE("questions, answers, prompts and programs come back from their tokens") {
  const digit_tokenizer t;
  std::vector<std::string> texts{
      "", "0123456789", "x12",
      "Decompose the following arithmetic expression into step-by-step computation "
      "using variables x1, x2, ...\nExpression: 12 plus 7\n\nProgram:\n"};
  for (const auto& q : addition(50, 1)) texts.push_back(q.text), texts.push_back(std::to_string(q.answer));
  for (const auto& q : mixed(200, 1)) texts.push_back(q.text);
  for (const auto op : operations_known)
    for (const auto& q : operations(op, 99, 1)) texts.push_back(q.text);
  for (const auto& e : chains(50, 1)) texts.push_back(e.text()), texts.push_back(program_of(e));
  for (const auto& text : texts) {
    const auto ids = t.encode(text);
    REQUIRE(t.decode(ids) == text);
    for (const auto id : ids) REQUIRE((id > 0 && std::size_t(id) < t.size()));
  }
}

TEST_CASE("a digit is one token, every token is one text, and the end stands for none") {
  const digit_tokenizer t;
  CHECK(t.encode("What is 12 plus 8?").size() == 6);
  CHECK(t.encode("90417").size() == 5);
  std::set<std::string> pieces;
  for (std::size_t id = 0; id < t.size(); ++id) {
    const auto piece = t.decode({std::int32_t(id)});
    CHECK(pieces.insert(piece).second);
    CHECK(piece.empty() == (std::int32_t(id) == t.end()));
    if (!piece.empty()) CHECK(t.encode(piece) == std::vector{std::int32_t(id)});
  }
}

TEST_CASE("what the tokenizer doesn't know has a place") {
  const digit_tokenizer t;
  CHECK(contains(message([&] { t.encode("What is 12 mod 8?"); }), "character 12"));
  CHECK(contains(message([&] { t.encode("1\xc3\xa9"); }), "character 2"));
  CHECK(contains(message([&] { t.decode({1, -1}); }), "ids from 0"));
  CHECK(contains(message([&] { t.decode({std::int32_t(t.size())}); }), "ids from 0"));
}
