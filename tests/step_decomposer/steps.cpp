// Reading programs strictly, running them step by step, and what is counted.
#include <step_decomposer/measure.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace step_decomposer;
using arithmetic::expression, arithmetic::operation, arithmetic::program_of;

namespace {

const expression three{{20, 7, 9, 5}, {operation::add, operation::sub, operation::add}};
std::vector<std::optional<expression>> some(const std::vector<expression>& list) {
  return {list.begin(), list.end()};
}

}  // namespace

TEST_CASE("every generated program reads back as its expression") {
  for (const auto& e : arithmetic::chains(500, 1)) {
    const auto r = read_program(program_of(e));
    REQUIRE(r.program == e);
    REQUIRE(r.failure.empty());
  }
}

TEST_CASE("what is no program is named by the first thing wrong") {
  for (const auto& [text, failure] : std::vector<std::array<const char*, 2>>{
           {"", "no step"},
           {"Answer: x1", "no step"},
           {"1: 2 + 3 = x1\nAnswer: x1", "no step"},
           {"Step 2: 2 + 3 = x2\nAnswer: x2", "a step out of order"},
           {"Step 1: 2 + 3 = x1\nStep 3: x1 + 3 = x3\nAnswer: x3", "a step out of order"},
           {"Step 1: x1 + 3 = x1\nAnswer: x1", "a wrong left operand"},
           {"Step 1: 2 + 3 = x1\nStep 2: 5 + 3 = x2\nAnswer: x2", "a wrong left operand"},
           {"Step 1: 2 * 3 = x1\nAnswer: x1", "no + or -"},
           {"Step 1: 2 +3 = x1\nAnswer: x1", "no + or -"},
           {"Step 1: 2 + x = x1\nAnswer: x1", "a wrong right operand"},
           {"Step 1: 2 + 12345678 = x1\nAnswer: x1", "a wrong right operand"},
           {"Step 1: 2 + -3 = x1\nAnswer: x1", "a wrong right operand"},
           {"Step 1: 2 + 3 = x2\nAnswer: x2", "a wrong result"},
           {"Step 1: 2 + 3 = x1 Answer: x1", "a wrong result"},
           {"Step 1: 2 + 3 = x1\n", "no answer"},
           {"Step 1: 2 + 3 = x1\nAnswer: x2", "an answer that is not the last result"},
           {"Step 1: 2 + 3 = x1\nAnswer: x12", "an answer that is not the last result"},
           {"Step 1: 2 + 3 = x1\nAnswer: x1\n", "text after the answer"},
           {"Step 1: 02 + 3 = x1\nAnswer: x1", "a number with leading zeros"}}) {
    INFO(text);
    CHECK(read_program(text).failure == failure);
    CHECK_FALSE(read_program(text).program);
  }
}

TEST_CASE("a text is read only where it is the program of what was read") {
  const std::string alphabet = "Step 1234: x+-=\nAnswer";
  std::size_t readable = 0;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const modx::random_stream random(1, "mutations", i);
    auto text = program_of(three);
    for (std::uint64_t k = 0; k <= random.below(0, 2); ++k) {
      const auto at = random.below(3 * k + 1, text.size());
      const char c = alphabet[random.below(3 * k + 2, alphabet.size())];
      if (random.below(3 * k + 3, 2))
        text[at] = c;
      else
        text.erase(at, 1);
    }
    const auto r = read_program(text);
    REQUIRE(r.program.has_value() == r.failure.empty());
    if (r.program) REQUIRE(program_of(*r.program) == text);
    readable += r.program.has_value();
  }
  CHECK(readable > 10);
  CHECK(readable < 2000);
}

TEST_CASE("steps work on the results before them, as they were answered") {
  const auto programs = some({three, {{50, 8}, {operation::sub}}});
  using list = std::vector<std::optional<int>>;
  CHECK(execute(programs, exact) == std::vector<list>{{27, 18, 23}, {42}});
  std::vector<std::string> asked;
  const auto off_by_one = [&](std::span<const expression> steps) {
    list out;
    for (const auto& s : steps) asked.push_back(s.text()), out.push_back(*s.value() + 1);
    return out;
  };
  CHECK(execute(programs, off_by_one) == std::vector<list>{{28, 20, 26}, {43}});
  CHECK(asked == std::vector<std::string>{"20 plus 7", "50 minus 8", "28 minus 9", "20 plus 5"});
  const auto not_27 = [](std::span<const expression> steps) {
    auto out = exact(steps);
    for (auto& v : out)
      if (v == 27) v.reset();
    return out;
  };
  CHECK(execute(programs, not_27) == std::vector<list>{{std::nullopt, std::nullopt, std::nullopt}, {42}});
  CHECK(execute(std::vector<std::optional<expression>>{std::nullopt}, exact) == std::vector<list>{{}});
  CHECK_THROWS_AS(execute(programs, [](auto) { return list{}; }), modx::error);
}

TEST_CASE("programs and answers are scored by number of steps, by hand") {
  const std::vector<expression> gold{{{3, 4}, {operation::add}},
                                     {{9, 4}, {operation::sub}},
                                     {{6, 4, 3}, {operation::add, operation::sub}}};  // 7, 5, 7
  const auto programs = score_programs(gold, {{gold[0], ""}, {gold[0], ""}, {{}, "no step"}});
  CHECK(programs["all"]["count"] == 3);
  CHECK(programs["all"]["exact"].get<double>() == Approx(1 / 3.0));
  CHECK(programs["all"]["read"].get<double>() == Approx(2 / 3.0));
  CHECK(programs["1"]["exact"] == 0.5);
  CHECK(programs["1"]["failures"].empty());
  CHECK(programs["2"]["failures"]["no step"] == 1);
  // 7 -> 7, 5 -> 7, 7 -> none: of class 7 precision 1/2 and recall 1/2, of class 5 nothing.
  const auto answers = score_answers(gold, {{7}, {7}, {}});
  CHECK(answers["all"]["acc"].get<double>() == Approx(1 / 3.0));
  CHECK(answers["all"]["macro_f1"].get<double>() == Approx(0.25));
  CHECK(answers["all"]["none"] == 1);
  CHECK(answers["2"]["acc"] == 0);
  CHECK(score_answers(gold, {{7}, {5}, {10, 101}})["all"]["none"] == 1);
  CHECK(score_answers(gold, {{7}, {5}, {10, 7}})["all"]["macro_f1"].get<double>() == Approx(1));
}
