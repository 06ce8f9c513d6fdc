// tokenizer.json: refused with an io_error, or a tokenizer that gives a text back.
#include <modx/text/tokenizer.hpp>

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace modx;
  try {
    const text::tokenizer t(text::parse_tokenizer(fuzz::text_of(data, size), "fuzz",
                                                  {.file = 1u << 16, .tokens = 2000, .values = 2000}));
    const std::string s = "hello <end> wor\n 12 caf\xc3\xa9 \xe4\xb8\xad\xf0\x9f\x98\x80";
    const auto ids = t.encode(s);
    fuzz::law(t.decode(ids) == s);
    for (const auto& a : t.added()) fuzz::law(t.find(a.content) == a.id && t.bytes(a.id) == a.content);
  } catch (const io::io_error& e) {
    fuzz::law(!e.code().empty() && e.offset() <= size + 1);
  }
  return 0;
}
