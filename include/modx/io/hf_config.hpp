// A Hugging Face config.json: values by name, each of its kind and in its range, and no key that nobody knows.
#pragma once
#include <cmath>
#include <initializer_list>
#include <modx/io/file.hpp>
#include <modx/io/json_text.hpp>
#include <set>

namespace modx::io {

class hf_config {
  std::filesystem::path file_;
  nlohmann::json json_;
  mutable std::set<std::string, std::less<>> asked_;

  const nlohmann::json* find(std::string_view key) const {
    asked_.emplace(key);
    const auto it = json_.find(key);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  static std::string text(const nlohmann::json& v) {
    return v.is_primitive() ? show(v.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)) : std::string(v.type_name());
  }
  double number(const nlohmann::json& v, std::string_view key) const {
    if (!v.is_number()) fail(key, "a number", text(v));
    const double x = v.get<double>();
    if (!std::isfinite(x) || x <= 0) fail(key, "a positive number", text(v));
    return x;
  }

 public:
  static constexpr std::size_t most = std::size_t(1) << 24;  // of any count

  explicit hf_config(std::filesystem::path file, std::size_t limit = 1u << 20) : file_(std::move(file)) {
    const auto bytes = read_file(file_, limit);
    json_ = parse_json(bytes.text(), file_);
    if (!json_.is_object()) throw io_error("bad_config", file_, 0, "a JSON object", json_.type_name());
  }
  [[noreturn]] void fail(std::string_view key, const std::string& expected, const std::string& found) const {
    throw io_error("bad_config", file_, 0, show(key) + ": " + expected, found);
  }
  /// A whole number from 1 to 2^24.
  std::size_t count(std::string_view key) const {
    if (!find(key)) fail(key, "a whole number", "none");
    return count(key, 0);
  }
  std::size_t count(std::string_view key, std::size_t otherwise) const {
    const auto* v = find(key);
    if (!v) return otherwise;
    if (!v->is_number_unsigned() || v->get<std::uint64_t>() == 0 || v->get<std::uint64_t>() > most)
      fail(key, "a whole number from 1 to " + std::to_string(most), text(*v));
    return v->get<std::size_t>();
  }
  double positive(std::string_view key, double otherwise) const {
    const auto* v = find(key);
    return v ? number(*v, key) : otherwise;
  }
  /// `key` of the object called `object`, whose "rope_type" must be the default.
  double positive_in(std::string_view object, std::string_view key, double otherwise) const {
    const auto* v = find(object);
    if (!v) return otherwise;
    if (!v->is_object()) fail(object, "an object", text(*v));
    for (const auto& [name, value] : v->items())
      if (name == "rope_type" && value != "default") {
        fail(object, "\"rope_type\": \"default\"", text(value));
      } else if (name != "rope_type" && name != key) {
        throw io_error("unknown_key", file_, 0, "keys known here in " + show(object), show(name));
      }
    const auto it = v->find(key);
    return it == v->end() ? otherwise : number(*it, key);
  }
  bool flag(std::string_view key, bool otherwise) const {
    const auto* v = find(key);
    if (!v) return otherwise;
    if (!v->is_boolean()) fail(key, "true or false", text(*v));
    return v->get<bool>();
  }
  /// One id, a list of them, or none.
  std::vector<std::int32_t> ids(std::string_view key) const {
    const auto* v = find(key);
    std::vector<std::int32_t> list;
    if (!v) return list;
    const auto add = [&](const nlohmann::json& id) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > most) fail(key, "ids up to " + std::to_string(most), text(id));
      list.push_back(id.get<std::int32_t>());
    };
    if (v->is_array()) {
      for (const auto& id : *v) add(id);
    } else {
      add(*v);
    }
    return list;
  }
  void expect_text(std::string_view key, std::string_view value) const {
    const auto* v = find(key);
    if (!v) fail(key, show(value), "none");
    if (!v->is_string() || v->get_ref<const std::string&>() != value) fail(key, show(value), text(*v));
  }
  /// False, null or absent.
  void expect_off(std::string_view key) const {
    const auto* v = find(key);
    if (v && !(v->is_boolean() && !v->get<bool>())) fail(key, "false or null: this is not supported", text(*v));
  }
  /// Absent, or a list of nothing but `value`.
  void expect_each(std::string_view key, std::string_view value) const {
    const auto* v = find(key);
    if (!v) return;
    if (!v->is_array()) fail(key, "a list", text(*v));
    for (const auto& item : *v)
      if (!item.is_string() || item.get_ref<const std::string&>() != value) fail(key, "nothing but " + show(value), text(item));
  }
  /// Throws unknown_key for a key that was not asked for and is not one of `harmless`.
  void refuse_unknown(std::initializer_list<std::string_view> harmless) const {
    for (const auto& [key, value] : json_.items()) {
      bool known = asked_.contains(key);
      for (const auto name : harmless) known = known || name == key;
      if (!known) throw io_error("unknown_key", file_, 0, "keys known here: another may change what the model computes", show(key));
    }
  }
};

}  // namespace modx::io
