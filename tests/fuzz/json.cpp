// JSON text: refused with an io_error, or a value that is read back from its own text.
#include <modx/io/json_text.hpp>

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace modx;
  try {
    const auto value = io::parse_json(fuzz::text_of(data, size), "fuzz",
                                      {.depth = 32, .string = 1000, .number = 32, .values = 5000});
    const std::string text = io::json_text(value, "fuzz");
    fuzz::law(io::parse_json(text, "fuzz") == value);
  } catch (const io::io_error& e) {
    fuzz::law(!e.code().empty() && e.offset() <= size + 1);
  }
  return 0;
}
