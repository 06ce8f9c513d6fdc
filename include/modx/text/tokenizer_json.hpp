// tokenizer.json of Hugging Face, as byte-level BPE: checked against itself, and all that would be run
// otherwise refused.
#pragma once
#include <array>
#include <map>
#include <modx/io/file.hpp>
#include <modx/text/byte_level.hpp>
#include <modx/text/json_fields.hpp>
#include <modx/text/split.hpp>
#include <modx/text/token_list.hpp>
#include <modx/text/tokenizer_sax.hpp>

namespace modx::text {

struct added_token {
  token_id id = 0;
  std::string content;
  bool special = false, normalized = false;
};

/// What a tokenizer is made of.
struct tokenizer_parts {
  bool nfc = false;
  split_pattern pattern = split_pattern::gpt2;
  token_list tokens;  ///< of the vocabulary, and the added ones
  merge_table merges;
  std::vector<added_token> added;
  std::array<token_id, 256> byte_tokens{};
};

namespace detail {

/// Takes the tree and the records apart.
class tokenizer_reader : field_reader {
 public:
  tokenizer_reader(tokenizer_sax& in, const std::filesystem::path& file, const tokenizer_limits& limits)
      : field_reader(file), in_(in), limits_(limits) {}

  tokenizer_parts read(std::uint64_t seed) {
    const json& root = in_.tree.root;
    fields(root, "",
           {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
            "post_processor", "decoder", "model"});
    only(root, "", "version", "1.0", "unknown_version");
    only(root, "", "truncation", nullptr);
    only(root, "", "padding", nullptr);
    parts_.nfc = type(root, "normalizer", {"", "NFC"}) == "NFC";
    if (parts_.nfc) fields(root["normalizer"], "normalizer", {"type"});
    pre_tokenizer(need(root, "", "pre_tokenizer"));
    type(root, "post_processor", {"", "ByteLevel"});
    type(root, "decoder", {"ByteLevel"});
    const json& model = need(root, "", "model");
    check_model(model);
    parts_.tokens = token_list(seed);
    added(root);
    vocab();
    merges(seed);
    return std::move(parts_);
  }

 private:
  void pre_tokenizer(const json& p) {
    const std::string at = "pre_tokenizer";
    if (p.is_null()) fail("missing_field", at, "null");
    if (type_of(p, at, {"ByteLevel", "Sequence"}) == "ByteLevel") {
      byte_level(p, at, true);
      parts_.pattern = split_pattern::gpt2;
      return;
    }
    fields(p, at, {"type", "pretokenizers"});
    const json& list = need(p, at, "pretokenizers");
    if (!list.is_array()) fail("bad_field", at + ".pretokenizers to be an array", text(list));
    if (list.size() != 2)
      fail("unsupported_option", at + ".pretokenizers to be Split and ByteLevel",
           std::to_string(list.size()) + " of them");
    const std::string first = at + ".pretokenizers.0", second = at + ".pretokenizers.1";
    const json& s = list[0];
    type_of(s, first, {"Split"});
    fields(s, first, {"type", "pattern", "behavior", "invert"});
    if (need(s, first, "behavior") != "Isolated")
      fail("unsupported_option", first + ".behavior to be \"Isolated\"", text(s["behavior"]));
    if (boolean(s, first, "invert")) fail("unsupported_option", first + ".invert to be false", "true");
    const json& pattern = need(s, first, "pattern");
    fields(pattern, first + ".pattern", {"Regex", "String"});
    if (pattern.contains("String")) fail("unknown_pattern", first + ".pattern.Regex", "a String");
    const json& regex = need(pattern, first + ".pattern", "Regex");
    if (!regex.is_string()) fail("bad_field", first + ".pattern.Regex to be a string", text(regex));
    if (regex.get_ref<const std::string&>() != pattern_text(split_pattern::qwen))
      fail("unknown_pattern", first + ".pattern.Regex to be Qwen's pattern, as no other is run", text(regex));
    parts_.pattern = split_pattern::qwen;
    type_of(list[1], second, {"ByteLevel"});
    byte_level(list[1], second, false);
  }
  void byte_level(const json& p, const std::string& at, bool use_regex) const {
    fields(p, at, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (boolean(p, at, "add_prefix_space"))
      fail("unsupported_option", at + ".add_prefix_space to be false", "true");
    const bool found = p.contains("use_regex") ? boolean(p, at, "use_regex") : true;
    if (found != use_regex)
      fail("unsupported_option", at + ".use_regex to be " + (use_regex ? "true" : "false"),
           found ? "true" : "false");
  }

  void check_model(const json& m) const {
    const std::string at = "model";
    fields(m, at,
           {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
            "byte_fallback", "ignore_merges", "vocab", "merges"});
    if (m.contains("type")) type_of(m, at, {"BPE"});
    for (const char* key : {"dropout", "unk_token"}) only(m, at, key, nullptr);
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (m.contains(key) && !m[key].is_null()) only(m, at, key, "");
    for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) only(m, at, key, false);
    for (const char* key : {"vocab", "merges"})
      if (need(m, at, key) != true || !(key[0] == 'v' ? in_.vocab_seen : in_.merges_seen))
        fail("bad_field", path(at, key) + (key[0] == 'v' ? " to be an object" : " to be an array"),
             text(m[key]));
  }

  void added(const json& root) {
    if (!root.contains("added_tokens") || root["added_tokens"].is_null()) return;
    const json& list = root["added_tokens"];
    if (!list.is_array()) fail("bad_field", "added_tokens to be an array", text(list));
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string at = "added_tokens." + std::to_string(i);
      const json& t = list[i];
      fields(t, at, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      const json &id = need(t, at, "id"), &content = need(t, at, "content");
      if (!id.is_number_unsigned()) fail("bad_id", at + ".id to be an integer", text(id));
      if (id.get<std::uint64_t>() >= 4 * limits_.tokens)
        fail("bad_id", at + ".id below " + std::to_string(4 * limits_.tokens), text(id));
      if (!content.is_string()) fail("bad_field", at + ".content to be a string", text(content));
      for (const char* key : {"single_word", "lstrip", "rstrip"})
        if (t.contains(key) && boolean(t, at, key))
          fail("unsupported_option", path(at, key) + " to be false", "true");
      added_token token{id.get<token_id>(), content.get<std::string>(), boolean(t, at, "special"),
                        boolean(t, at, "normalized")};
      if (token.content.empty()) fail("bad_token", at + ".content", "an empty string");
      if (token.content.size() > limits_.added_token)
        fail("token_too_long", at + ".content of at most " + std::to_string(limits_.added_token) + " bytes",
             std::to_string(token.content.size()));
      if (!added_.emplace(token.content, token.id).second)
        fail("duplicate_token", "each added token once", io::show(token.content) + " twice");
      parts_.added.push_back(std::move(token));
    }
  }

  void vocab() {
    const string_pile& names = in_.vocab;
    token_id last = -1;
    for (const token_id id : in_.ids) last = std::max(last, id);
    for (const auto& t : parts_.added) last = std::max(last, t.id);
    const std::size_t count = names.size() + parts_.added.size();
    if (static_cast<std::size_t>(last + 1) > 4 * count)
      fail("sparse_ids",
           "ids below " + std::to_string(4 * count) + " for " + std::to_string(count) + " tokens",
           std::to_string(last));
    std::string bytes;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string name(names[i]);
      const token_id id = in_.ids[i];
      if (parts_.tokens.has(id)) fail("duplicate_id", "each id once", std::to_string(id) + " twice");
      const auto as_added = added_.find(name);
      if (as_added != added_.end() && as_added->second != id)
        fail("wrong_id",
             "added token " + io::show(name) + " with id " + std::to_string(id) + ", as in model.vocab",
             std::to_string(as_added->second));
      bytes.clear();
      const bool spelled = append_bytes_of(name, bytes) && !bytes.empty();
      if (!spelled && as_added == added_.end())
        fail("bad_token", "tokens of the byte alphabet in model.vocab", io::show(name));
      const bool found = as_added == added_.end() || bytes == name;
      if (found && parts_.tokens.find(bytes) >= 0)
        fail("duplicate_key", "each token of model.vocab once", io::show(name) + " twice");
      if (as_added != added_.end()) as_added->second = -1;  // its place is taken by itself
      parts_.tokens.insert(id, found ? bytes : name, found);
    }
    for (const auto& t : parts_.added) {
      if (added_[t.content] < 0) continue;
      if (parts_.tokens.has(t.id)) fail("duplicate_id", "each id once", std::to_string(t.id) + " twice");
      parts_.tokens.insert(t.id, t.content, false);
    }
    for (std::size_t b = 0; b < 256; ++b) {
      const char byte = static_cast<char>(b);
      parts_.byte_tokens[b] = parts_.tokens.find({&byte, 1});
      if (parts_.byte_tokens[b] < 0)
        fail("missing_byte", "a token for every byte", "none for byte " + std::to_string(b));
    }
  }

  void merges(std::uint64_t seed) {
    const std::size_t count = in_.merges.size() / 2;
    parts_.merges = merge_table(count, seed);
    std::string bytes;
    const auto find = [&](std::size_t from) {
      const token_id id = parts_.tokens.find(std::string_view(bytes).substr(from));
      if (id < 0)
        fail("unknown_token", "merges of tokens in model.vocab",
             io::show(std::string_view(bytes).substr(from)));
      return id;
    };
    for (std::size_t rank = 0; rank < count; ++rank) {
      bytes.clear();
      token_id side[2];
      for (std::size_t k = 0; k < 2; ++k) {
        const std::size_t from = bytes.size();
        const auto name = in_.merges[2 * rank + k];
        if (!append_bytes_of(name, bytes) || bytes.size() == from)
          fail("bad_merge", "tokens of the byte alphabet in model.merges", io::show(name));
        side[k] = find(from);
      }
      if (!parts_.merges.insert(side[0], side[1], static_cast<std::uint32_t>(rank), find(0)))
        fail("duplicate_merge", "each merge once", io::show(bytes) + " twice");
    }
  }

  tokenizer_sax& in_;
  const tokenizer_limits& limits_;
  tokenizer_parts parts_;
  std::map<std::string, token_id> added_;
};

}  // namespace detail

/// The parts of the tokenizer that `text` describes; throws io_error (codes: docs/text.md), for which `file`
/// is the name.
inline tokenizer_parts parse_tokenizer(std::string_view text, const std::filesystem::path& file,
                                       const tokenizer_limits& limits = {}) {
  if (text.size() > limits.file)
    throw io::io_error("too_large", file, 0, "at most " + std::to_string(limits.file) + " bytes",
                       std::to_string(text.size()));
  io::check_json_budget(text, file, 0, {.depth = 16, .string = limits.string});
  detail::tokenizer_sax in(text, file, limits);
  in.parse();
  return detail::tokenizer_reader(in, file, limits).read(XXH3_64bits(text.data(), text.size()));
}

}  // namespace modx::text
