// Rows into training, validation and test, each range (and domain) by its share; disjoint: no text in two of
// them.
#pragma once
#include <map>
#include <set>

#include "questions.hpp"

namespace arithmetic {

struct row_lists {
  std::vector<std::int32_t> train, val, test;
  bool operator==(const row_lists&) const = default;
};

/// text[i] and stratum[i] belong to row i.  Of each stratum at most val_ratio goes to val and test_ratio to
/// test; disjoint: all rows of a text go together.  Lists are sorted.
inline row_lists split(const std::vector<std::string>& text, const std::vector<std::int32_t>& stratum,
                       double val_ratio, double test_ratio, std::uint64_t seed, bool disjoint) {
  if (!(val_ratio >= 0 && test_ratio >= 0 && val_ratio + test_ratio < 1))
    throw modx::error("split", "shares of validation and test from 0 to below 1 together",
                      std::to_string(val_ratio) + " and " + std::to_string(test_ratio));
  std::map<std::int32_t, std::vector<std::vector<std::int32_t>>> groups;
  std::map<std::string_view, std::pair<std::int32_t, std::size_t>> known;  // text -> stratum, group
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto& own = groups[stratum.at(i)];
    if (disjoint) {
      const auto [at, fresh] = known.try_emplace(text[i], stratum[i], own.size());
      if (at->second.first != stratum[i])
        throw modx::error("split, \"" + text[i] + "\"", "one stratum", "two");
      if (!fresh) {
        own[at->second.second].push_back(std::int32_t(i));
        continue;
      }
    }
    own.push_back({std::int32_t(i)});
  }
  row_lists out;
  for (auto& [name, list] : groups) {
    std::size_t rows = 0;
    for (const auto& group : list) rows += group.size();
    std::size_t val = std::size_t(double(rows) * val_ratio), test = std::size_t(double(rows) * test_ratio);
    modx::shuffle(list, modx::random_stream(seed, "split", std::uint64_t(name)));
    for (const auto& group : list) {
      const bool to_val = group.size() <= val, to_test = !to_val && group.size() <= test;
      if (to_val) val -= group.size();
      if (to_test) test -= group.size();
      auto& to = to_val ? out.val : to_test ? out.test : out.train;
      to.insert(to.end(), group.begin(), group.end());
    }
  }
  for (auto* rows : {&out.train, &out.val, &out.test}) std::sort(rows->begin(), rows->end());
  return out;
}
/// Questions by domain and range of the answer.
inline row_lists split(const std::vector<question>& questions, double val_ratio, double test_ratio,
                       std::uint64_t seed, bool disjoint) {
  std::vector<std::string> text;
  std::vector<std::int32_t> stratum;
  for (const auto& q : questions)
    text.push_back(q.text), stratum.push_back(q.domain * std::int32_t(ranges.size()) + range_of(q.answer));
  return split(text, stratum, val_ratio, test_ratio, seed, disjoint);
}

/// Share of validation and test rows whose text is in training too.
struct overlaps {
  double val = 0, test = 0;
};
inline overlaps overlap(const std::vector<std::string>& text, const row_lists& rows) {
  std::set<std::string_view> seen;
  for (const auto i : rows.train) seen.insert(text.at(std::size_t(i)));
  const auto share = [&](const std::vector<std::int32_t>& list) {
    std::size_t both = 0;
    for (const auto i : list) both += seen.contains(text.at(std::size_t(i)));
    return list.empty() ? 0.0 : double(both) / double(list.size());
  };
  return {share(rows.val), share(rows.test)};
}
inline overlaps overlap(const std::vector<question>& questions, const row_lists& rows) {
  std::vector<std::string> text;
  for (const auto& q : questions) text.push_back(q.text);
  return overlap(text, rows);
}

}  // namespace arithmetic
