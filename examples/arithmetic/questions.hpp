// Questions with answers 2 to 100: label = answer - 2, one of 99; domain = the range of the answer, or the
// operation. The rules of the published generators (github.com/dancwolf-cmyk/red), their bugs mended:
// docs/arithmetic.md.
#pragma once
#include <algorithm>
#include <modx/random.hpp>

#include "expression.hpp"

namespace arithmetic {

inline constexpr int least_answer = 2, most_answer = 100;
inline constexpr std::size_t classes = 99;

struct answer_range {
  int least, most;
};
inline constexpr std::array<answer_range, 5> ranges{{{2, 20}, {21, 40}, {41, 60}, {61, 80}, {81, 100}}};

inline std::int32_t range_of(int answer) {
  for (std::size_t r = 0; r < ranges.size(); ++r)
    if (answer >= ranges[r].least && answer <= ranges[r].most) return std::int32_t(r);
  throw modx::error("an answer", "2 to 100", std::to_string(answer));
}
/// "range_2_20" and so on, as in the published files.
inline std::string range_name(std::size_t r) {
  return "range_" + std::to_string(ranges.at(r).least) + "_" + std::to_string(ranges.at(r).most);
}

struct question {
  std::string text;
  int answer;
  std::int32_t label, domain;
  bool operator==(const question&) const = default;
};

/// "What is 12 plus 8?"; throws unless its answer is 2 to 100.
inline question ask(const expression& e, bool words = true) {
  const auto value = e.value();
  if (!value) throw modx::error("the question of " + e.text(), "a whole answer", "none");
  return {"What is " + e.text(words) + "?", *value, *value - least_answer, range_of(*value)};
}

/// Random numbers of one item, in turn; items don't depend on each other.
class draws {
  modx::random_stream stream_;
  std::uint64_t at_ = 0;

 public:
  draws(std::uint64_t seed, const std::string& purpose, std::uint64_t item) : stream_(seed, purpose, item) {}
  /// Uniform, both ends included.
  int between(int least, int most) {
    return least + int(stream_.below(at_++, std::uint64_t(most - least) + 1));
  }
  template <class List>
  auto one(const List& list) {
    return list[std::size_t(between(0, int(list.size()) - 1))];
  }
};

/// Item i of `count` belongs to part i mod `parts`: even shares, what is left over goes to the first parts.
template <class F>
std::vector<expression> even(std::size_t count, std::size_t parts, std::uint64_t seed,
                             const std::string& name, F&& make) {
  std::vector<expression> all;
  all.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    draws d(seed, name, i);
    all.push_back(make(d, i % parts, i / parts, count / parts));
  }
  modx::shuffle(all, modx::random_stream(seed, name + "/order"));
  return all;
}

/// One operation with this answer: + a in 0..answer; - minuend in answer..answer + 50; * a factor in 1..20
/// that divides it, found in 50 draws or 1; / a divisor in 1..12.
inline expression one_operation(draws& d, operation op, int answer) {
  if (op == operation::add) {
    const int a = d.between(0, answer);
    return {{a, answer - a}, {op}};
  }
  if (op == operation::sub) {
    const int away = d.between(0, 50);
    return {{answer + away, away}, {op}};
  }
  if (op == operation::div) {
    const int divisor = d.between(1, 12);
    return {{answer * divisor, divisor}, {op}};
  }
  for (int draw = 0; draw < 50; ++draw)
    if (const int factor = d.between(1, std::min(20, answer)); answer % factor == 0)
      return {{answer / factor, factor}, {op}};
  return {{answer, 1}, {op}};
}

/// Published: demo_v11.  a, b in 1..50, as many questions for each range of the sum.
inline std::vector<expression> sums(std::size_t count, std::uint64_t seed) {
  return even(count, ranges.size(), seed, "sums", [](draws& d, std::size_t range, std::size_t, std::size_t) {
    for (;;) {
      const int a = d.between(1, 50), b = d.between(1, 50);
      if (a + b >= ranges[range].least && a + b <= ranges[range].most)
        return expression{{a, b}, {operation::add}};
    }
  });
}
/// Published: create_balanced_ops_jsonl, and create_add_2_99_jsonl with {add}, 2 and 99.  As many for each
/// answer.
inline std::vector<expression> balanced(std::size_t count, std::uint64_t seed,
                                        const std::vector<operation>& kinds, int least = least_answer,
                                        int most = most_answer) {
  if (kinds.empty() || least < 1 || most < least)
    throw modx::error("balanced questions", "an operation and answers 1 <= least <= most",
                      std::to_string(least) + " to " + std::to_string(most));
  return even(count, std::size_t(most - least) + 1, seed, "balanced",
              [&](draws& d, std::size_t i, std::size_t, std::size_t) {
                const auto op = d.one(kinds);
                return one_operation(d, op, least + int(i));
              });
}
/// Published: create_two_step_subtraction.  As many for each range; one subtraction each.
inline std::vector<expression> differences(std::size_t count, std::uint64_t seed) {
  return even(count, ranges.size(), seed, "differences",
              [](draws& d, std::size_t range, std::size_t, std::size_t) {
                return one_operation(d, operation::sub, d.between(ranges[range].least, ranges[range].most));
              });
}
/// Published: createsim.  As many for each answer, of these 50 % with one operator, 30 % with two, 20 % with
/// three, what is left over with one.  The last operand is solved for and may be negative; one beyond 200 is
/// drawn again.
inline std::vector<expression> mixtures(std::size_t count, std::uint64_t seed) {
  return even(count, classes, seed, "mixtures",
              [](draws& d, std::size_t i, std::size_t nth, std::size_t each) {
                const int answer = least_answer + int(i);
                const std::size_t two = each * 3 / 10, three = each * 2 / 10,
                                  operators = nth < two           ? 2
                                              : nth < two + three ? 3
                                                                  : 1;
                static constexpr std::array signs{operation::add, operation::sub};
                if (operators == 1) return one_operation(d, d.one(signs), answer);
                for (;;) {
                  expression e{{d.between(0, 100)}, {}};
                  for (std::size_t k = 1; k < operators; ++k)
                    e.op.push_back(d.one(signs)), e.operand.push_back(d.between(0, 100));
                  const int rest = answer - *e.value();
                  e.op.push_back(d.one(signs));
                  e.operand.push_back(e.op.back() == operation::add ? rest : -rest);
                  if (std::abs(rest) <= 200) return e;
                }
              });
}
/// Published: createdatastep.  As many for each range, of these 20 % with two operators, 40 % with three and
/// four; the start and every operand in 2..50, running values in 2..50, the last one in its range.
inline std::vector<expression> chains(std::size_t count, std::uint64_t seed) {
  return even(
      count, ranges.size(), seed, "chains", [](draws& d, std::size_t range, std::size_t nth, std::size_t) {
        const std::size_t operators = nth % 5 < 1 ? 2 : nth % 5 < 3 ? 3 : 4;
        for (;;) {
          expression e{{d.between(2, 50)}, {}};
          int value = e.operand[0];
          for (std::size_t k = 1; k <= operators; ++k) {
            const int most = k == operators ? 100 : 50;
            const bool up = value + 2 <= most, down = value - 2 >= 2;
            const auto op = up && (!down || d.between(0, 1) == 0) ? operation::add : operation::sub;
            const int operand = d.between(2, std::min(50, op == operation::add ? most - value : value - 2));
            e.op.push_back(op), e.operand.push_back(operand);
            value = *apply(value, op, operand);
          }
          if (value >= ranges[range].least && value <= ranges[range].most) return e;
        }
      });
}

inline std::vector<question> questions_of(const std::vector<expression>& list, bool words = true) {
  std::vector<question> out;
  out.reserve(list.size());
  for (const auto& e : list) out.push_back(ask(e, words));
  return out;
}
/// The tasks: two-number sums; one to three operators, in signs; one operation, whose number is the domain.
inline std::vector<question> addition(std::size_t count, std::uint64_t seed) {
  return questions_of(sums(count, seed));
}
inline std::vector<question> mixed(std::size_t count, std::uint64_t seed) {
  return questions_of(mixtures(count, seed), false);
}
inline std::vector<question> operations(operation kind, std::size_t count, std::uint64_t seed) {
  auto out = questions_of(balanced(count, seed, {kind}));
  for (auto& q : out) q.domain = std::int32_t(kind);
  return out;
}

}  // namespace arithmetic
