#include <modx/text/utf8.hpp>

#include "catch.hpp"
#include "text_support.hpp"

using namespace modx::test;

namespace {
const std::string mark = "\xef\xbf\xbd";
}

TEST_CASE("utf8: the first invalid byte", "[text]") {
  const std::vector<std::pair<std::string, std::size_t>> cases = {
      {"", std::string::npos},
      {"plain text", std::string::npos},
      {std::string("a\0b", 3), std::string::npos},
      {"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 "
       "\xf4\x8f\xbf\xbf",
       std::string::npos},
      {"12345678\x80", 8},
      {"\xc0\xaf", 0},             // overlong
      {"a\xc1\xbf", 1},            // overlong
      {"ab\xe0\x9f\xbf", 2},       // overlong
      {"abc\xf0\x8f\xbf\xbf", 3},  // overlong
      {"\xed\xa0\x80", 0},         // surrogate
      {"\xed\xbf\xbf", 0},         // surrogate
      {"\xf4\x90\x80\x80", 0},     // above U+10FFFF
      {"\xf5\x80\x80\x80", 0},
      {"\xff", 0},
      {"\xfe", 0},
      {"x\xc3", 1},
      {"x\xe2\x82", 1},
      {"x\xf0\x9f\x98", 1},
      {"\xc3(", 0},
      {"\xe2\x82(", 0},
      {"\xe2(\xac", 0},
      {"\xf0\x9f\x98(", 0},
      {"\xe2\x82\xac\xac", 3},
  };
  for (const auto& [text, at] : cases) {
    INFO(modx::io::show(text));
    CHECK(find_invalid_utf8(text) == at);
    CHECK((find_invalid_utf8(replace_invalid_utf8(text)) == std::string::npos));
    CHECK((replace_invalid_utf8(text) == text) == (at == std::string::npos));
  }
}

TEST_CASE("utf8: one replacement for each longest start of a character",
          "[text]") {  // Unicode 15, tables 3-8 to 3-11
  CHECK(replace_invalid_utf8("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41") ==
        mark + mark + mark + mark + mark + mark + mark + mark + "A");
  CHECK(replace_invalid_utf8("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41") ==
        mark + mark + mark + mark + mark + mark + mark + mark + "A");
  CHECK(replace_invalid_utf8("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42") ==
        mark + mark + mark + mark + mark + "A" + mark + mark + "B");
  CHECK(replace_invalid_utf8("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41") == mark + mark + mark + mark + "A");
}

TEST_CASE("utf8: every character is valid, and utf8proc agrees on all sequences of three bytes", "[text]") {
  std::string all;
  for (std::uint32_t p = 0; p < 0x110000; ++p)
    if (p < 0xd800 || p > 0xdfff) all += utf8(p);
  CHECK(find_invalid_utf8(all) == std::string::npos);
  std::size_t differ = 0;
  for (std::uint32_t x = 0; x < 0x1000000; x += 7) {
    const std::string s{static_cast<char>(x >> 16), static_cast<char>(x >> 8), static_cast<char>(x)};
    bool valid = true;
    for (utf8proc_ssize_t i = 0; valid && i < 3;) {
      utf8proc_int32_t point = 0;
      const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(s.data()) + i, 3 - i, &point);
      valid = n > 0;
      i += n;
    }
    differ += valid != (find_invalid_utf8(s) == s.npos);
  }
  CHECK(differ == 0);
}
