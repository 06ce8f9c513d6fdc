// Text into words, by the patterns of GPT-2 and Qwen, compiled by PCRE2.
#pragma once
#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <limits>
#include <memory>
#include <modx/error.hpp>
#include <string>
#include <string_view>

namespace modx::text {

/// The patterns that are known; a file's own is compared with them as a string and never run.
enum class split_pattern { gpt2, qwen };

/// The pattern as tokenizer.json has it.
inline std::string_view pattern_text(split_pattern p) {
  return p == split_pattern::gpt2
             ? R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
             : R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

/// Cuts text into words; safe from several threads.
class word_splitter {
 public:
  explicit word_splitter(split_pattern p) {
    // \s is Unicode's White_Space in the reference; PCRE2's has U+180E too.
    const std::string space =
        R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
    std::string pattern;
    bool in_class = false;
    for (const auto text = pattern_text(p); const char c : text) {
      const bool escaped = !pattern.empty() && pattern.back() == '\\';
      if (escaped && (c == 's' || c == 'S')) {
        pattern.pop_back();
        pattern += in_class ? space : (c == 's' ? "[" : "[^") + space + "]";
        continue;
      }
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      pattern += c;
    }
    int code = 0;
    PCRE2_SIZE at = 0;
    code_.reset(pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(),
                                PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, nullptr),
                pcre2_code_free_8);
    if (!code_) fail("a PCRE2 with Unicode", code);
    const int jit = pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE);
    if (jit != 0 && jit != PCRE2_ERROR_JIT_BADOPTION)
      fail("a compiled pattern", jit);  // without JIT it is slower
  }

  /// Calls word(std::string_view) for each word of `text`, which must be UTF-8; together they are the text.
  template <class F>
  void split(std::string_view text, F&& word) const {
    if (text.empty()) return;
    const owned<pcre2_match_data_8> match(pcre2_match_data_create_8(1, nullptr), pcre2_match_data_free_8);
    const owned<pcre2_match_context_8> context(pcre2_match_context_create_8(nullptr),
                                               pcre2_match_context_free_8);
    if (!match || !context) throw std::bad_alloc();
    // A match takes a few steps a byte at most; these bounds say so.
    const auto steps =
        std::min<std::size_t>(std::numeric_limits<std::uint32_t>::max(), 16 * text.size() + 10'000);
    pcre2_set_match_limit_8(context.get(), static_cast<std::uint32_t>(steps));
    pcre2_set_depth_limit_8(context.get(), static_cast<std::uint32_t>(steps));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer_8(match.get());
    for (std::size_t at = 0; at < text.size();) {
      const int found = pcre2_match_8(code_.get(), reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(),
                                      at, PCRE2_NO_UTF_CHECK, match.get(), context.get());
      if (found < 0 && found != PCRE2_ERROR_NOMATCH) fail("words", found);
      const bool some = found > 0 && range[1] > at;
      const std::size_t begin = some ? range[0] : text.size(), end = some ? range[1] : text.size();
      if (begin > at) word(text.substr(at, begin - at));
      if (end > begin) word(text.substr(begin, end - begin));
      at = end;
    }
  }

 private:
  template <class T>
  using owned = std::unique_ptr<T, void (*)(T*)>;

  [[noreturn]] static void fail(const char* expected, int code) {
    char text[128] = "";
    pcre2_get_error_message_8(code, reinterpret_cast<PCRE2_UCHAR8*>(text), sizeof text);
    throw error("text::word_splitter", expected, text);
  }

  std::shared_ptr<pcre2_code_8> code_;
};

}  // namespace modx::text
