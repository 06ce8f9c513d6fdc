// JSON events into a tree: no key twice, a bounded number of values, and the place of what was wrong.
#pragma once
#include <iterator>
#include <modx/io/io_error.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modx::io::detail {

/// Walks the text and says how far it got, so that an error has a place.
struct counting_iterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* p;
  const char** furthest;
  reference operator*() const { return *p; }
  counting_iterator& operator++() { return *furthest = ++p, *this; }
  counting_iterator operator++(int) {
    auto old = *this;
    return ++*this, old;
  }
  bool operator==(const counting_iterator& o) const { return p == o.p; }
};

/// Takes nlohmann's events; returns false, with `error` set, at the first thing that is refused.
class json_builder {
 public:
  using json = nlohmann::json;
  /// `text` begins at byte `base` of `file`.
  json_builder(std::string_view text, const std::filesystem::path& file, std::uint64_t base,
               std::size_t values)
      : furthest(text.data()), file_(file), text_(text), base_(base), left_(values) {}

  const char* furthest;
  json root;
  std::optional<io_error> error;

  bool null() { return put(nullptr); }
  bool boolean(bool v) { return put(v); }
  bool number_integer(std::int64_t v) { return put(v); }
  bool number_unsigned(std::uint64_t v) { return put(v); }
  bool number_float(double v, const std::string&) { return put(v); }
  bool string(std::string& v) { return put(std::move(v)); }
  bool binary(json::binary_t&) { return fail("bad_json", "JSON", "binary data"); }
  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return stack_.pop_back(), true; }
  bool end_array() { return stack_.pop_back(), true; }
  bool key(std::string& k) {
    const auto [at, fresh] = stack_.back()->get_ref<json::object_t&>().emplace(k, nullptr);
    if (!fresh) return fail("duplicate_key", "each key once", show(k) + " twice");
    member_ = &at->second;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception& e) {
    return fail("bad_json", "JSON", show(std::string_view(e.what()).substr(0, 200)));
  }

  bool fail(const char* code, const std::string& expected, const std::string& found) {
    error.emplace(code, file_, base_ + static_cast<std::uint64_t>(furthest - text_.data()), expected, found);
    return false;
  }
  /// How many arrays and objects are open.
  std::size_t depth() const { return stack_.size(); }

  /// Sends the events of the text to `sax`, which passes on to this builder what it likes; throws what was
  /// wrong.
  template <class Sax>
  void parse(Sax& sax) {
    const char* const end = text_.data() + text_.size();
    const bool ok =
        json::sax_parse(counting_iterator{text_.data(), &furthest}, counting_iterator{end, &furthest}, &sax);
    if (error) throw *error;
    if (!ok) throw io_error("bad_json", file_, base_, "JSON", "something else");
  }

 private:
  bool put(json v) { return place(std::move(v)) != nullptr; }
  bool open(json v) {
    json* const at = place(std::move(v));
    if (at) stack_.push_back(at);
    return at != nullptr;
  }
  json* place(json v) {
    if (left_-- == 0) return fail("too_many_values", "fewer values", "more"), nullptr;
    if (stack_.empty()) return root = std::move(v), &root;
    if (stack_.back()->is_array())
      return &stack_.back()->get_ref<json::array_t&>().emplace_back(std::move(v));
    return *member_ = std::move(v), member_;
  }

  const std::filesystem::path& file_;
  std::string_view text_;
  std::uint64_t base_;
  std::size_t left_;
  std::vector<json*> stack_;
  json* member_ = nullptr;
};

}  // namespace modx::io::detail
