// Byte-level BPE: text -> added tokens | NFC -> words -> bytes -> merges -> ids, and ids -> bytes -> text.
#pragma once
#include <modx/text/added_tokens.hpp>
#include <modx/text/nfc.hpp>
#include <modx/text/tokenizer_json.hpp>
#include <optional>
#include <span>

namespace modx::text {

/// Which added tokens a text may name: all, those that are not special, none (the rest is text like any
/// other).
enum class added_tokens { all, not_special, none };
/// What is done with text that is not UTF-8: an error with the byte's place, or U+FFFD
/// (replace_invalid_utf8).
enum class invalid_utf8 { refuse, replace };

struct encode_options {
  added_tokens added = added_tokens::all;
  invalid_utf8 invalid = invalid_utf8::refuse;
};
struct decode_options {
  bool skip_special = false;
};

/// Immutable and safe from several threads.
class tokenizer {
 public:
  /// Reads tokenizer.json; throws io_error (codes: docs/text.md).
  explicit tokenizer(const std::filesystem::path& file, const tokenizer_limits& limits = {})
      : tokenizer(parse_tokenizer(io::read_file(file, limits.file).text(), file, limits)) {}
  explicit tokenizer(tokenizer_parts parts)
      : p_(std::move(parts)), words_(p_.pattern), special_(p_.tokens.size()) {
    for (const auto& t : p_.added) {
      const std::string content = t.normalized && p_.nfc ? nfc(t.content) : t.content;
      for (const bool with_special : {false, true})
        if (with_special || !t.special) finders_[with_special][t.normalized].insert(content, t.id);
      special_[static_cast<std::size_t>(t.id)] = t.special;
    }
  }

  /// One more than the largest id: the least number of rows of an embedding.
  std::size_t size() const { return p_.tokens.size(); }
  /// How many ids there are.
  std::size_t count() const { return p_.tokens.count(); }
  const std::vector<added_token>& added() const { return p_.added; }
  /// The id of an added token, or of the token of the vocabulary that is these bytes.
  std::optional<token_id> find(std::string_view token) const {
    for (const auto& t : p_.added)
      if (t.content == token) return t.id;
    const token_id id = p_.tokens.find(token);
    return id < 0 ? std::nullopt : std::optional(id);
  }
  /// The bytes of a token, which need not be whole characters; throws error for an id that there is not.
  std::string_view bytes(token_id id) const {
    if (!p_.tokens.has(id))
      throw error("text::tokenizer", "a token's id, below " + std::to_string(size()), std::to_string(id));
    return p_.tokens.bytes(id);
  }
  bool is_special(token_id id) const { return !bytes(id).empty() && special_[static_cast<std::size_t>(id)]; }

  /// The ids of `text`; throws error for text that is not UTF-8 or longer than 1 GiB.
  std::vector<token_id> encode(std::string_view text, const encode_options& options = {}) const {
    std::vector<token_id> ids;
    encode(text, ids, options);
    return ids;
  }
  /// Appends them to `ids`.
  void encode(std::string_view text, std::vector<token_id>& ids, const encode_options& options = {}) const {
    if (text.size() > (1u << 30))
      throw error("text::tokenizer", "text of at most 1 GiB", std::to_string(text.size()) + " bytes");
    std::string replaced;
    if (const std::size_t at = find_invalid_utf8(text); at != text.npos) {
      if (options.invalid == invalid_utf8::refuse)
        throw error("text::tokenizer", "text in UTF-8",
                    io::show(text.substr(at, 4)) + " at byte " + std::to_string(at));
      text = replaced = replace_invalid_utf8(text);
    }
    static const word_finder nothing;
    const bool none = options.added == added_tokens::none;
    const auto& finders = finders_[options.added == added_tokens::all];
    const auto found = [&](token_id id) { ids.push_back(id); };
    std::vector<token_id> word;
    const auto encode_words = [&](std::string_view part) {
      words_.split(part, [&](std::string_view w) { encode_word(w, word, ids); });
    };
    const auto encode_plain = [&](std::string_view part) {
      const bool change = p_.nfc && !surely_nfc(part);
      const std::string normal = change ? nfc(part) : "";
      (none ? nothing : finders[true]).split(change ? std::string_view(normal) : part, encode_words, found);
    };
    (none ? nothing : finders[false]).split(text, encode_plain, found);
  }

  /// The bytes of the tokens one after the other; throws error for an id that there is not.
  std::string decode_bytes(std::span<const token_id> ids, const decode_options& options = {}) const {
    std::string out;
    for (const token_id id : ids)
      if (const auto token = bytes(id); !options.skip_special || !special_[static_cast<std::size_t>(id)])
        out += token;
    return out;
  }
  /// The same as UTF-8, with U+FFFD for what is none.
  std::string decode(std::span<const token_id> ids, const decode_options& options = {}) const {
    return replace_invalid_utf8(decode_bytes(ids, options));
  }

 private:
  void encode_word(std::string_view text, std::vector<token_id>& word, std::vector<token_id>& ids) const {
    word.clear();
    for (const char c : text) word.push_back(p_.byte_tokens[static_cast<unsigned char>(c)]);
    if (word.size() <= 32)
      merge_short(p_.merges, word);
    else
      merge_long(p_.merges, word);
    ids.insert(ids.end(), word.begin(), word.end());
  }

  tokenizer_parts p_;
  word_splitter words_;
  std::vector<bool> special_;
  word_finder finders_[2][2];  // with special tokens or without; looked for in normalised text or before
};

/// Text from tokens that come one by one: what is a whole character is given out, the start of one is kept.
class stream_decoder {
 public:
  explicit stream_decoder(const tokenizer& t, const decode_options& options = {})
      : tokenizer_(&t), options_(options) {}

  /// The text that this token completes; with finish() all of it is decode()'s.  Throws error for an id that
  /// there is not.
  std::string push(token_id id) {
    if (const auto token = tokenizer_->bytes(id); !options_.skip_special || !tokenizer_->is_special(id))
      kept_ += token;
    std::size_t whole = 0;
    while (whole < kept_.size()) {
      const auto unit = utf8_at(kept_, whole);
      if (unit.partial) break;
      whole += unit.size;
    }
    std::string out = replace_invalid_utf8(std::string_view(kept_).substr(0, whole));
    kept_.erase(0, whole);
    return out;
  }
  /// What is left at the end: U+FFFD or nothing.
  std::string finish() { return replace_invalid_utf8(std::exchange(kept_, {})); }

 private:
  const tokenizer* tokenizer_;
  decode_options options_;
  std::string kept_;
};

}  // namespace modx::text
