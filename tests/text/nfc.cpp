#include <modx/text/nfc.hpp>

#include "catch.hpp"
#include "text_support.hpp"

using namespace modx::test;

namespace {

std::string points(const std::vector<std::uint32_t>& all) {
  std::string out;
  for (const auto p : all) out += utf8(p);
  return out;
}

/// utf8proc's own form C of the whole text.
std::string by_utf8proc(const std::string& s) {
  utf8proc_uint8_t* out = nullptr;
  const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(s.data()),
                              static_cast<utf8proc_ssize_t>(s.size()), &out,
                              static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  REQUIRE(n >= 0);
  std::string text(reinterpret_cast<const char*>(out), static_cast<std::size_t>(n));
  std::free(out);
  return text;
}

}  // namespace

TEST_CASE("nfc: values", "[text]") {
  const std::vector<std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>>> cases = {
      {{'e', 0x301}, {0xe9}},
      {{'x', 'e', 0x301, 'y'}, {'x', 0xe9, 'y'}},
      {{0x212b}, {0xc5}},  // a singleton
      {{0x2126}, {0x3a9}},
      {{0x344}, {0x308, 0x301}},               // a decomposition that is not composed again
      {{0x958}, {0x915, 0x93c}},               // a composition exclusion
      {{'a', 0x301, 0x323}, {0x1ea1, 0x301}},  // marks in order, then composed
      {{'a', 0x323, 0x301}, {0x1ea1, 0x301}},
      {{0x1e9b, 0x323}, {0x1e9b, 0x323}},
      {{0xe9, 0x300}, {0xe9, 0x300}},
      {{0x1100, 0x1161, 0x11a8}, {0xac01}},  // Hangul
      {{0xac00, 0x11a8}, {0xac01}},
      {{0x1100, 0x1161, 0x1100}, {0xac00, 0x1100}},
      {{0x301, 'e'}, {0x301, 'e'}},  // nothing to stand on
      {{0, 'e', 0x301, 0}, {0, 0xe9, 0}},
      {{0x4e2d, 0x6587}, {0x4e2d, 0x6587}},
      {{0x2f800}, {0x4e3d}},
      {{0x1f600, 0xfe0f}, {0x1f600, 0xfe0f}},
  };
  for (const auto& [from, to] : cases) {
    INFO(modx::io::show(points(from)));
    CHECK(nfc(points(from)) == points(to));
    CHECK(nfc(points(to)) == points(to));
  }
  CHECK(nfc("") == "");
  CHECK(surely_nfc("caf\xc3\xa9"));
  CHECK_FALSE(surely_nfc("cafe\xcc\x81"));
}

TEST_CASE("nfc: in pieces as in one", "[text]") {
  dice d(1);
  const std::vector<std::uint32_t> likely = {'e',   'a',   ' ',     0xe9,    0x2ff,  0x300,  0x301,  0x323,
                                             0x327, 0x345, 0x1100,  0x1161,  0x11a8, 0xac00, 0x4e2d, 0x915,
                                             0x93c, 0x958, 0x212b,  0x1e9b,  0x5b0,  0x64b,  0x3099, 0x304b,
                                             0x9be, 0x9c7, 0x1d15f, 0x110ba, 0x11099};
  for (int round = 0; round < 20'000; ++round) {
    std::string s;
    for (std::uint32_t n = d.below(12); n > 0; --n) s += utf8(d.below(4) == 0 ? any_point(d) : d.of(likely));
    INFO(modx::io::show(s));
    const std::string normal = nfc(s);
    REQUIRE(normal == by_utf8proc(s));
    REQUIRE(nfc(normal) == normal);
  }
}

TEST_CASE("nfc: many marks on one letter are sorted, not bubbled", "[text]") {
  const std::size_t n = 400'000;  // 160 000 000 000 swaps otherwise
  std::string s = "a";
  for (std::size_t i = 0; i < n; ++i) s += utf8(0x301);  // above
  for (std::size_t i = 0; i < n; ++i) s += utf8(0x323);  // below: before those above
  std::string sorted = utf8(0x1ea1);
  for (std::size_t i = 1; i < n; ++i) sorted += utf8(0x323);
  for (std::size_t i = 0; i < n; ++i) sorted += utf8(0x301);
  CHECK(nfc(s) == sorted);
}
