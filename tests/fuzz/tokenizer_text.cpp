// Bytes through a small tokenizer as text and as ids: there and back, and the stream equals the whole.
#include <modx/text/tokenizer.hpp>

#include "fuzz.hpp"

namespace {

using namespace modx;

text::tokenizer small(bool qwen) {
  text::tokenizer_parts p;
  p.nfc = qwen;
  p.pattern = qwen ? text::split_pattern::qwen : text::split_pattern::gpt2;
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    p.tokens.insert(p.byte_tokens[static_cast<std::size_t>(b)] = b, {&byte, 1});
  }
  const std::pair<const char*, const char*> rules[] = {{"a", "a"}, {"aa", "aa"}, {" ", "a"},
                                                       {"l", "l"}, {"he", "ll"}, {"\xc3", "\xa9"},
                                                       {"h", "e"}, {" ", " "},   {"aa", "a"}};
  p.merges = text::merge_table(9, 1);
  text::token_id next = 256;
  for (const auto& [left, right] : rules) p.tokens.insert(next++, std::string(left) + right);
  for (std::uint32_t rank = 0; rank < 9; ++rank)
    p.merges.insert(p.tokens.find(rules[rank].first), p.tokens.find(rules[rank].second), rank,
                    256 + static_cast<text::token_id>(rank));
  for (const char* added : {"<end>", "<e", "\xc3\xa9\xc3\xa9"}) {
    p.added.push_back({next, added, added[1] == 'e' && added[2] == 'n', added[0] != '<'});
    p.tokens.insert(next++, added, false);
  }
  return text::tokenizer(std::move(p));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const text::tokenizer all[] = {small(false), small(true)};
  if (size == 0) return 0;
  const unsigned choice = *data++;
  --size;
  const bool qwen = choice & 1;
  const auto& t = all[qwen];
  const std::string_view s = fuzz::text_of(data, size);
  if (choice & 8) {  // the bytes as ids, some of them outside
    std::vector<text::token_id> ids;
    for (std::size_t i = 0; i + 1 < size; i += 2) ids.push_back(data[i] | (data[i + 1] & 1) << 8);
    const bool right =
        std::all_of(ids.begin(), ids.end(), [&](auto id) { return id < text::token_id(t.size()); });
    text::stream_decoder stream(t);
    std::string parts;
    try {
      for (const auto id : ids) parts += stream.push(id);
      fuzz::law(right && parts + stream.finish() == t.decode(ids));
    } catch (const error&) {
      fuzz::law(!right);
    }
    return 0;
  }
  const auto added = choice & 2   ? text::added_tokens::none
                     : choice & 4 ? text::added_tokens::not_special
                                  : text::added_tokens::all;
  const std::string valid = text::replace_invalid_utf8(s);
  fuzz::law(text::find_invalid_utf8(valid) == valid.npos);
  const std::string back = t.decode(t.encode(s, {.added = added, .invalid = text::invalid_utf8::replace}));
  fuzz::law(qwen ? text::nfc(back) == text::nfc(valid) : back == valid);
  if (valid == s) return 0;
  try {
    t.encode(s);
    fuzz::law(false);
  } catch (const error&) {
  }
  return 0;
}
