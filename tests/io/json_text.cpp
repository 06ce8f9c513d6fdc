#include <modx/io/json_text.hpp>

#include "catch.hpp"
#include "io_support.hpp"

using namespace modx::io;
using namespace modx::test;

namespace {

nlohmann::json parse(const std::string& text, const json_limits& limits = {}) {
  return parse_json(text, "test.json", limits);
}
std::string code(const std::string& text, const json_limits& limits = {}) {
  return code_of([&] { parse(text, limits); });
}

}  // namespace

TEST_CASE("json_text: values", "[io]") {
  for (const std::string text : {"null", "true", "-7", "18446744073709551615", "0.5", "\"a\\u00e9\"", "[]",
                                 "{}", "[1,[2,[3,{}]],{\"a\":{\"b\":[null,false]},\"c\":\"d\"}]"})
    CHECK(parse(text) == nlohmann::json::parse(text));
}

TEST_CASE("json_text: a key twice is refused, and its place told", "[io]") {
  const auto message = [](const std::string& text) { return message_of([&] { parse(text); }); };
  CHECK(message("{\"a\":1,\"b\":{\"a\":2},\"a\":3}") ==
        "modx: \"test.json\" at byte 22: expected each key once, found \"a\" twice [duplicate_key]");
  CHECK(code("{\"a\":1,\"\\u0061\":2}") == "duplicate_key");
  CHECK(code("[{\"a\":1},{\"a\":2}]") == "");
  CHECK(code("{\"a\":{\"a\":{\"a\":1}}}") == "");
}

TEST_CASE("json_text: budgets, at and above", "[io]") {
  CHECK(code("[1,2,3]", {.values = 4}) == "");
  CHECK(code("[1,2,3]", {.values = 3}) == "too_many_values");
  CHECK(code("{\"a\":[],\"b\":{}}", {.values = 3}) == "");
  CHECK(code("{\"a\":[],\"b\":{}}", {.values = 2}) == "too_many_values");
  CHECK(code("[[[]]]", {.depth = 3}) == "");
  CHECK(code("[[[]]]", {.depth = 2}) == "json_too_deep");
  CHECK(code("[123]", {.number = 3}) == "");
  CHECK(code("[1234]", {.number = 3}) == "number_too_long");
  CHECK(code("[\"abc\"]", {.string = 3}) == "");
  CHECK(code("[\"abcd\"]", {.string = 3}) == "string_too_long");
}

TEST_CASE("json_text: many objects in one array take linear time",
          "[io]") {  // the tree's own parser took quadratic
  std::string text = "[{}";
  for (int i = 0; i < 1'000'000; ++i) text += ",{}";
  CHECK(parse(text + "]").size() == 1'000'001);
}
