// A JSON value that knows where it stands, so that a wrong metrics.json is an error that names the entry.
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <modx/analysis/statistics.hpp>
#include <modx/error.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace red::report_part {

using json = nlohmann::ordered_json;

/// A view of one value in a document that outlives it; every access throws modx::error where the kind is
/// wrong.
class node {
 public:
  node(const json& value, std::string where) : value_(&value), where_(std::move(where)) {}

  const json& raw() const { return *value_; }
  const std::string& where() const { return where_; }

  /// The member, or nothing where it is absent or null.
  std::optional<node> find(const std::string& key) const {
    need(value_->is_object(), "an object");
    const auto it = value_->find(key);
    if (it == value_->end() || it->is_null()) return {};
    return node(*it, where_ + "." + key);
  }
  node at(const std::string& key) const {
    if (const auto found = find(key)) return *found;
    throw modx::error(where_, "an entry \"" + key + "\"", "none");
  }
  std::vector<std::pair<std::string, node>> members() const {
    need(value_->is_object(), "an object");
    std::vector<std::pair<std::string, node>> all;
    for (const auto& [key, value] : value_->items()) all.emplace_back(key, node(value, where_ + "." + key));
    return all;
  }
  std::vector<node> items() const {
    need(value_->is_array(), "a list");
    std::vector<node> all;
    for (const json& value : *value_)
      all.emplace_back(value, where_ + "[" + std::to_string(all.size()) + "]");
    return all;
  }
  /// items(), of which there must be `count`.
  std::vector<node> items(std::size_t count) const {
    std::vector<node> all = items();
    if (all.size() != count)
      throw modx::error(where_, std::to_string(count) + " entries", std::to_string(all.size()));
    return all;
  }

  std::string text() const {
    need(value_->is_string(), "a text");
    return value_->get<std::string>();
  }
  bool flag() const {
    need(value_->is_boolean(), "true or false");
    return value_->get<bool>();
  }
  std::int64_t integer() const {
    need(value_->is_number_integer(), "a whole number");
    return value_->get<std::int64_t>();
  }
  /// A number; null, which is how JSON holds NaN, is NaN.
  double number() const {
    if (value_->is_null()) return NAN;
    need(value_->is_number(), "a number");
    return value_->get<double>();
  }
  std::vector<double> numbers() const {
    std::vector<double> all;
    for (const node& n : items()) all.push_back(n.number());
    return all;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const node& n : items()) all.push_back(n.text());
    return all;
  }
  /// {"mean", "sd", "values"}.
  modx::analysis::summary figure() const {
    need(value_->is_object() && value_->contains("mean") && value_->contains("sd"), "{mean, sd, values}");
    return {number_of("mean"), number_of("sd"), at("values").numbers()};
  }

 private:
  void need(bool ok, const char* expected) const {
    if (!ok) throw modx::error(where_, expected, value_->type_name());
  }
  double number_of(const std::string& key) const { return node((*value_)[key], where_ + "." + key).number(); }

  const json* value_;
  std::string where_;
};

/// The shortest decimal that reads back as the same double, "" for NaN.
inline std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::isnan(value) ? "" : std::string(buffer.data(), end.ptr);
}

/// The modes in the order given; where that is the alphabet's (nlohmann::json has no other), in the order of
/// the paper.
inline std::vector<std::pair<std::string, node>> modes_in_order(const node& modes) {
  static const std::vector<std::string> known{"base",   "global", "dense_control", "all_fixed", "uniform",
                                              "oracle", "moe",    "moe_joint",     "red",       "red_hidden"};
  auto all = modes.members();
  const auto name = [](const auto& member) { return member.first; };
  if (!std::ranges::is_sorted(all, {}, name)) return all;
  std::ranges::stable_sort(all, {},
                           [&](const auto& m) { return std::ranges::find(known, m.first) - known.begin(); });
  return all;
}

}  // namespace red::report_part
