// Generators: exact labels, even shares, the published rules, and expressions that read back.
#include <arithmetic/questions.hpp>
#include <map>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "support.hpp"

using namespace arithmetic;
using support::contains, support::message;

namespace {

/// Each expression's value by a reading of its own.
int value_of(const std::string& text) {
  std::istringstream in(text);
  int value = 0, next = 0;
  std::string word;
  in >> value;
  while (in >> word) {
    if (word == "divided") in >> word;
    in >> next;
    if (word == "plus" || word == "+")
      value += next;
    else if (word == "minus" || word == "-")
      value -= next;
    else if (word == "times" || word == "*")
      value *= next;
    else
      value /= next;
  }
  return value;
}
std::map<std::int32_t, int> by_range(const std::vector<expression>& list) {
  std::map<std::int32_t, int> count;
  for (const auto& e : list) ++count[range_of(*e.value())];
  return count;
}
const std::map<std::int32_t, int> even_ranges{{0, 200}, {1, 200}, {2, 200}, {3, 200}, {4, 200}};

}  // namespace

TEST_CASE("expressions read back from words and signs, and have the value of a calculator") {
  for (const auto& list :
       {mixtures(990, 3), chains(500, 3),
        balanced(990, 3, {operation::add, operation::sub, operation::mul, operation::div})})
    for (const auto& e : list)
      for (const bool words : {true, false}) {
        REQUIRE(parse_expression(e.text(words)) == e);
        REQUIRE(value_of(e.text(words)) == e.value());
      }
  const expression e{{44, 30, 6}, {operation::sub, operation::add}};
  CHECK(e.text() == "44 minus 30 plus 6");
  CHECK(e.text(false) == "44 - 30 + 6");
  CHECK(program_of(e) == "Step 1: 44 - 30 = x1\nStep 2: x1 + 6 = x2\nAnswer: x2");
  CHECK(parse_expression("8 + -6 minus -2") == expression{{8, -6, -2}, {operation::add, operation::sub}});
  CHECK_FALSE(expression{{7, 2}, {operation::div}}.value());
  CHECK_FALSE(expression{{7, 0}, {operation::div}}.value());
  CHECK_FALSE(expression{{999999, 999999}, {operation::mul}}.value());
}

TEST_CASE("a text that is no expression is refused with its place") {
  for (const auto& [text, place, words] :
       std::vector<std::array<const char*, 3>>{{"", "character 1", "a whole number"},
                                               {"12 plus", "character 3", "\" plus \""},
                                               {"12 plus ", "character 9", "its end"},
                                               {"12  plus 3", "character 3", "\" plus \""},
                                               {"12 plus three", "character 9", "three"},
                                               {"12 power 3", "character 3", "power"},
                                               {"1234567", "character 1", "six digits"},
                                               {"99999999999999999999", "character 1", "six digits"},
                                               {"1 + 2 ", "character 6", "a sign"}}) {
    const auto said = message([&] { parse_expression(text, "line 7"); });
    INFO("'" << text << "': " << said);
    CHECK(contains(said, std::string("line 7, ") + place + ":"));
    CHECK(contains(said, words));
  }
}

TEST_CASE("questions have exact labels and the domain of their answer") {
  const auto check = [](const std::vector<question>& list, bool by_operation) {
    for (const auto& q : list) {
      REQUIRE(q.text.starts_with("What is "));
      REQUIRE(q.text.ends_with("?"));
      REQUIRE(value_of(q.text.substr(8, q.text.size() - 9)) == q.answer);
      REQUIRE(q.label == q.answer - 2);
      REQUIRE((q.label >= 0 && q.label < std::int32_t(classes)));
      if (!by_operation) REQUIRE(q.domain == (q.answer <= 20 ? 0 : (q.answer - 1) / 20));
    }
  };
  check(addition(1000, 1), false), check(mixed(1980, 1), false);
  for (const auto op : operations_known) {
    const auto list = operations(op, 990, 1);
    check(list, true);
    for (const auto& q : list) REQUIRE(q.domain == std::int32_t(op));
  }
  CHECK(range_name(0) == "range_2_20");
  CHECK(range_name(4) == "range_81_100");
  CHECK(range_of(100) == 4);
  CHECK(contains(message([] { range_of(101); }), "2 to 100"));
  CHECK(contains(message([] { ask({{7, 2}, {operation::div}}); }), "a whole answer"));
}

TEST_CASE("generators follow their rules, with even shares") {
  CHECK(by_range(sums(1000, 42)) == even_ranges);
  for (const auto& e : sums(1000, 42))
    REQUIRE((e.op.size() == 1 && e.operand[0] >= 1 && e.operand[0] <= 50 && e.operand[1] >= 1 &&
             e.operand[1] <= 50));
  CHECK(by_range(differences(1000, 42)) == even_ranges);
  for (const auto& e : differences(1000, 42))
    REQUIRE((e.op[0] == operation::sub && e.operand[1] >= 0 && e.operand[1] <= 50));

  std::map<int, int> answers;
  for (const auto& e : balanced(200, 1, {operation::add}, 2, 99)) ++answers[*e.value()];
  REQUIRE(answers.size() == 98);
  for (const auto& [answer, count] : answers)
    REQUIRE(count == (answer < 2 + 200 % 98 ? 3 : 2));  // the rest goes to the smallest
  std::set<operation> kinds;
  for (const auto& e : balanced(400, 1, {operation::mul, operation::div})) kinds.insert(e.op[0]);
  CHECK(kinds == std::set{operation::mul, operation::div});
  CHECK(contains(message([] { balanced(10, 1, {}); }), "an operation"));

  std::map<std::size_t, int> operators;
  int negative = 0;
  answers.clear();
  for (const auto& e : mixtures(1980, 42)) {
    ++operators[e.op.size()], ++answers[*e.value()];
    for (const int x : e.operand) {
      REQUIRE((x >= -200 && x <= 200));
      negative += x < 0;
    }
  }
  CHECK(operators == std::map<std::size_t, int>{{1, 990}, {2, 594}, {3, 396}});
  CHECK(answers.size() == classes);
  CHECK(negative > 0);

  operators.clear();
  CHECK(by_range(chains(1000, 2025)) == even_ranges);
  for (const auto& e : chains(1000, 2025)) {
    ++operators[e.op.size()];
    int value = e.operand[0];
    for (std::size_t i = 0; i < e.op.size(); ++i) {
      value = *apply(value, e.op[i], e.operand[i + 1]);
      REQUIRE((e.operand[i + 1] >= 2 && e.operand[i + 1] <= 50 && value >= 2 &&
               value <= (i + 1 < e.op.size() ? 50 : 100)));
    }
  }
  CHECK(operators == std::map<std::size_t, int>{{2, 200}, {3, 400}, {4, 400}});
}

TEST_CASE("the seed decides, and another one gives other questions") {
  CHECK(mixed(300, 7) == mixed(300, 7));
  CHECK(mixed(300, 7) != mixed(300, 8));
  CHECK(chains(50, 7) == chains(50, 7));
  CHECK(chains(50, 7) != chains(50, 8));
  CHECK(addition(100, 1) != addition(100, 2));
}
