// Fields of a JSON file's tree: there or not, of a kind, of one value; every complaint names the field by its
// path.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <modx/io/io_error.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace modx::text::detail {

/// `at` is the path of the object that is looked into, "" for the root.
class field_reader {
 public:
  using json = nlohmann::json;
  explicit field_reader(const std::filesystem::path& file) : file_(file) {}

  [[noreturn]] void fail(const char* code, const std::string& expected, const std::string& found) const {
    throw io::io_error(code, file_, 0, expected, found);
  }
  static std::string path(const std::string& at, const std::string& key) {
    return at.empty() ? key : at + "." + key;
  }
  static std::string text(const json& v) {
    return v.is_structured() ? (v.is_array() ? "an array" : "an object")
           : v.is_string()   ? io::show(v.get_ref<const std::string&>())
                             : v.dump();
  }
  const json& need(const json& o, const std::string& at, const char* key) const {
    if (!o.contains(key)) fail("missing_field", path(at, key), "none");
    return o[key];
  }
  /// `o` is an object of these fields and no others.
  void fields(const json& o, const std::string& at, std::initializer_list<const char*> known) const {
    if (!o.is_object())
      fail(at.empty() ? "bad_root" : "bad_field", at.empty() ? "an object" : at + " to be an object",
           text(o));
    for (const auto& [key, value] : o.items())
      if (std::find(known.begin(), known.end(), key) == known.end())
        fail("unknown_field", at.empty() ? "a field of a tokenizer" : "a field of " + at, io::show(key));
  }
  /// A field, if there is one, has this value only.
  void only(const json& o, const std::string& at, const char* key, const json& value,
            const char* code = "unsupported_option") const {
    if (o.contains(key) && o[key] != value) fail(code, path(at, key) + " to be " + text(value), text(o[key]));
  }
  bool boolean(const json& o, const std::string& at, const char* key) const {
    const json& v = need(o, at, key);
    if (!v.is_boolean()) fail("bad_field", path(at, key) + " to be true or false", text(v));
    return v.get<bool>();
  }
  /// The type of a part that is one of the `known`; "" is null or none.
  std::string type(const json& o, const std::string& key, std::initializer_list<const char*> known,
                   const std::string& at = "") const {
    const json& part = o.contains(key) ? o[key] : json();
    if (part.is_null() && std::string_view(*known.begin()).empty()) return "";
    if (part.is_null()) fail("missing_field", path(at, key), o.contains(key) ? "null" : "none");
    return type_of(part, path(at, key), known);
  }
  std::string type_of(const json& part, const std::string& at,
                      std::initializer_list<const char*> known) const {
    if (!part.is_object()) fail("bad_field", at + " to be an object", text(part));
    const json& name = need(part, at, "type");
    if (!name.is_string()) fail("bad_field", at + ".type to be a string", text(name));
    std::string names;
    for (const std::string k : known) {
      if (name == k && !k.empty()) return k;
      names += (names.empty() ? "" : " or ") + (k.empty() ? "null" : k);
    }
    fail("unknown_type", at + " to be " + names, text(name));
  }

 private:
  const std::filesystem::path& file_;
};

}  // namespace modx::text::detail
