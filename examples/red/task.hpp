// What a run of residual expert decomposition is about: its classes and domains, and the words for them.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace red {

/// A residual on the hidden vector: the mode's name, what its stages' names begin with, and its experts' rank.
struct hidden_red {
  std::string mode, stages;
  std::size_t rank = 1;
};

struct task {
  std::string program, title;          // of the program, of its report
  std::size_t classes = 0;
  std::vector<std::string> domains;    // their names, in order
  std::string domain_word = "domain";  // stands before a name
  std::string test_rows = "test rows";
  std::string base_note;               // how the base head was trained
  std::string head = "linear";         // what heads are made of
  std::vector<hidden_red> hidden;
  bool router_row = false;             // the table of modes has a row of how often RED's router finds the domain

  std::size_t domain_count() const { return domains.size(); }
  std::string domain(std::size_t d) const { return domain_word + " " + domains.at(d); }
};

/// "five", "fifth": small numbers in words, others in digits.
inline std::string cardinal(std::size_t n) {
  static const char* const words[] = {"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
  return n < std::size(words) ? words[n] : std::to_string(n);
}
inline std::string ordinal(std::size_t n) {
  static const char* const words[] = {"zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"};
  return n < std::size(words) ? words[n] : std::to_string(n) + "th";
}

/// Rows of the data set.
struct splits {
  std::vector<std::int32_t> train, val, test, base;
};
inline nlohmann::ordered_json to_json(const splits& s) {
  return {{"train", s.train}, {"val", s.val}, {"test", s.test}, {"base", s.base}};
}

/// Those of `rows` whose domain is d.
inline std::vector<std::int32_t> of_domain(const std::vector<std::int32_t>& rows,
                                           const std::vector<std::int32_t>& domain, std::size_t d) {
  std::vector<std::int32_t> own;
  for (const auto i : rows)
    if (domain[std::size_t(i)] == std::int32_t(d)) own.push_back(i);
  return own;
}

}  // namespace red
