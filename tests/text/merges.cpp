#include <modx/text/merges.hpp>

#include "catch.hpp"
#include "text_support.hpp"

using namespace modx::test;

namespace {

struct rule {
  token_id left, right, merged;
};

merge_table table_of(const std::vector<rule>& rules, std::uint64_t seed) {
  merge_table t(rules.size(), seed);
  for (std::size_t i = 0; i < rules.size(); ++i)
    t.insert(rules[i].left, rules[i].right, static_cast<std::uint32_t>(i), rules[i].merged);
  return t;
}

/// By the definition: the first rule that applies anywhere, at its leftmost place, again and again.
ids by_definition(const std::vector<rule>& rules, ids w) {
  for (bool any = true; any;) {
    any = false;
    for (std::size_t r = 0; r < rules.size() && !any; ++r)
      for (std::size_t i = 0; i + 1 < w.size() && !any; ++i)
        if (w[i] == rules[r].left && w[i + 1] == rules[r].right) {
          w[i] = rules[r].merged;
          w.erase(w.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          any = true;
        }
  }
  return w;
}

/// Rules over `letters` letters: each joins two tokens that there are, into a new one; spellings differ.
std::vector<rule> random_rules(dice& d, std::uint32_t letters, std::uint32_t count) {
  std::vector<std::string> tokens;
  for (std::uint32_t i = 0; i < letters; ++i) tokens.emplace_back(1, static_cast<char>('a' + i));
  std::vector<rule> rules;
  for (std::uint32_t tries = 0; rules.size() < count && tries < 20 * count; ++tries) {
    const auto left = d.below(static_cast<std::uint32_t>(tokens.size())),
               right = d.below(static_cast<std::uint32_t>(tokens.size()));
    const std::string whole = tokens[left] + tokens[right];
    const auto at = std::find(tokens.begin(), tokens.end(), whole);
    const auto merged = static_cast<token_id>(at - tokens.begin());
    const bool known = std::any_of(rules.begin(), rules.end(), [&](const rule& r) {
      return r.left == token_id(left) && r.right == token_id(right);
    });
    if (known || whole.size() > 12) continue;
    if (at == tokens.end()) tokens.push_back(whole);
    rules.push_back({token_id(left), token_id(right), merged});
  }
  return rules;
}

}  // namespace

TEST_CASE("merges: least rank first, the leftmost of equals", "[text]") {
  const std::vector<rule> rules = {{1, 2, 3}, {0, 1, 4}, {0, 0, 5}};  // bc, ab, aa
  const auto table = table_of(rules, 0);
  const auto both = [&](ids w) {
    ids other = w;
    merge_short(table, w);
    merge_long(table, other);
    CHECK(w == other);
    return w;
  };
  CHECK(both({}) == ids{});
  CHECK(both({0}) == ids{0});
  CHECK(both({0, 1, 2}) == ids{0, 3});  // not ab c
  CHECK(both({0, 0, 0}) == ids{5, 0});  // not a aa
  CHECK(both({0, 0, 1}) == ids{0, 4});  // ab has the lesser rank
  CHECK(both({2, 2}) == ids{2, 2});
}

TEST_CASE("merges: both ways equal the definition", "[text]") {
  dice d(3);
  for (int round = 0; round < 300; ++round) {
    const std::uint32_t letters = 1 + d.below(4);
    const auto rules = random_rules(d, letters, 1 + d.below(40));
    const auto table = table_of(rules, d.below(1u << 31));
    for (int words = 0; words < 20; ++words) {
      ids w(d.below(70));
      for (auto& id : w) id = token_id(d.below(letters));
      const ids expected = by_definition(rules, w);
      ids a = w, b = w;
      merge_short(table, a);
      const std::size_t entries = merge_long(table, b);
      REQUIRE(a == expected);
      REQUIRE(b == expected);
      REQUIRE(entries <= 3 * w.size());
    }
  }
}

TEST_CASE("merges: the work for a long word is linear-logarithmic", "[text]") {
  dice d(4);
  const auto table = table_of(random_rules(d, 3, 200), 7),
             doubling = table_of({{0, 0, 1}, {1, 1, 2}, {2, 2, 3}}, 7);
  for (const std::size_t n : {10'000u, 100'000u, 1'000'000u}) {
    for (const bool same : {true, false}) {
      ids w(n);
      for (auto& id : w) id = same ? 0 : token_id(d.below(3));
      const std::size_t entries =
          merge_long(same ? doubling : table, w);  // each is put into a heap of at most n entries once
      CHECK(entries <= 3 * n);
      CHECK(w.size() < n);
    }
  }
}

TEST_CASE("merges: pairs are found whatever the seed", "[text]") {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
    merge_table t(5'000, seed);
    for (token_id i = 0; i < 5'000; ++i) CHECK(t.insert(i, 5'000 - i, static_cast<std::uint32_t>(i), 2 * i));
    CHECK_FALSE(t.insert(7, 4'993, 9, 9));
    bool right = true;
    for (token_id i = 0; i < 5'000; ++i)
      right = right && t.find(i, 5'000 - i).merged == 2 * i && t.find(i, 5'001 - i).rank == t.none;
    CHECK(right);
  }
  CHECK(merge_table().find(0, 0).rank == merge_table::none);
}
