#include <modx/io/safetensors.hpp>
#include <modx/io/safetensors_writer.hpp>

#include <chrono>

#include "catch.hpp"
#include "io_support.hpp"
#include "malformed_safetensors.hpp"

using namespace modx::io;
using namespace modx::test;

namespace {

file_bytes as_file(std::string_view s) {
  file_bytes b(s.size());
  std::memcpy(b.bytes().data(), s.data(), s.size());
  return b;
}
safetensors_file parse(std::string_view s, const safetensors_limits& limits = {}) {
  return safetensors_file(as_file(s), "test.safetensors", limits);
}
std::span<const std::byte> bytes_of(std::string_view s) {
  return std::as_bytes(std::span(s.data(), s.size()));
}

/// What a file means, whatever its order, in one text.
std::string meaning(const safetensors_file& f) {
  std::string out;
  auto list = f.list();
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const auto& t : list) {
    out += t.name + '|' + std::string(name_of(t.type)) + '|';
    for (const auto d : t.shape) out += std::to_string(d) + ',';
    out += '|' + std::string(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()) + '\n';
  }
  for (const auto& [k, v] : f.metadata()) out += k + '=' + v + '\n';
  return out;
}

/// A small file with every sort of tensor.
const std::string numbers(64, '\x3c');
std::vector<tensor_entry> some_tensors() {
  const auto all = bytes_of(numbers);
  return {{"zeta", dtype::f32, {2, 3}, all.first(24)},
          {"alpha", dtype::f32, {1}, all.first(4)},
          {"d", dtype::f64, {2}, all.first(16)},
          {"half", dtype::f16, {3, 1}, all.first(6)},
          {"brain", dtype::bf16, {5}, all.first(10)},
          {"long", dtype::i64, {1, 1, 2}, all.first(16)},
          {"int", dtype::i32, {}, all.first(4)},
          {"bytes", dtype::u8, {7}, all.first(7)},
          {"flag", dtype::boolean, {1}, all.first(1)},
          {"none", dtype::f32, {0, 9}, {}},
          {"caf\xc3\xa9 \"\\\n", dtype::u8, {1}, all.first(1)}};
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, bytewise", "[io]") {
  temp_folder dir;
  const auto tensors = some_tensors();
  const std::map<std::string, std::string> metadata = {{"format", "pt"},
                                                       {"note", "\"quoted\"\n\xe2\x82\xac"}};
  write_safetensors(dir / "a", tensors, metadata);
  const safetensors_file f(dir / "a");
  CHECK(f.metadata() == metadata);
  REQUIRE(f.list().size() == tensors.size());
  for (const auto& t : tensors) {
    const auto& r = f.at(t.name);
    CHECK(r.type == t.type);
    CHECK(r.shape == t.shape);
    CHECK(std::equal(r.bytes.begin(), r.bytes.end(), t.bytes.begin(), t.bytes.end()));
  }
  for (std::size_t i = 1; i < f.list().size(); ++i) {
    const auto &a = f.list()[i - 1], &b = f.list()[i];
    CHECK(size_of(a.type) >= size_of(b.type));
  }
  const auto text = get(dir / "a");
  CHECK(static_cast<unsigned char>(text[0]) % 8 == 0);
  CHECK(text.find("{\"__metadata__\":{\"format\":\"pt\"") == 8);
  CHECK(f.find("beta") == nullptr);
  CHECK(code_of([&] { f.at("beta"); }) == "missing_tensor");

  write_safetensors(dir / "b", f.list(), f.metadata());  // a copy of the copy, and in another order
  CHECK(get(dir / "b") == text);
  auto shuffled = tensors;
  std::reverse(shuffled.begin(), shuffled.end());
  write_safetensors(dir / "c", shuffled, metadata);
  CHECK(get(dir / "c") == text);

  const auto moved = [&] {
    safetensors_file g(dir / "a");
    return g;
  }();
  CHECK(meaning(moved) == meaning(f));
  write_safetensors(dir / "empty", {});
  CHECK(get(dir / "empty") == safetensors_text("{}      "));
  CHECK(safetensors_file(dir / "empty").list().empty());
}

TEST_CASE("safetensors: malformed files give exact codes, in bounded time", "[io]") {
  const auto cases = malformed_safetensors();
  std::size_t refused = 0;
  for (const auto& c : cases) {
    INFO(c.name);
    const auto start = std::chrono::steady_clock::now();
    CHECK(code_of([&] { parse(c.bytes); }) == c.code);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
    refused += !c.code.empty();
  }
  CHECK(refused >= 150);
}

TEST_CASE("safetensors: an error says which tensor and where", "[io]") {
  const auto text = safetensors_text(
      "{\"first\":" + tensor_json("[4]", "[0,16]") + ",\"second\":" + tensor_json("[4]", "[16,30]") + "}",
      zeros(30));
  const auto what = message_of([&] { parse(text); });
  CHECK(what == "modx: \"test.safetensors\" at byte " + std::to_string(text.find("\"second\"") + 8) +
                    ": expected 16 bytes by dtype and shape, found 14 by data_offsets in tensor \"second\" "
                    "[size_mismatch]");
  const auto hostile = message_of([&] { parse(safetensors_text("{\"a\\u001b[2J\":1}")); });
  CHECK(hostile.find('\x1b') == hostile.npos);
}

TEST_CASE("safetensors: limits hold at, and not above", "[io]") {
  const auto t = [](int i) {
    return "\"t" + std::to_string(i) + "\":" +
           tensor_json("[1,1,1]", "[" + std::to_string(4 * i) + "," + std::to_string(4 * i + 4) + "]");
  };
  const auto text =
      safetensors_text("{\"__metadata__\":{\"key\":\"value\"}," + t(0) + "," + t(1) + "}", zeros(8));
  const std::uint64_t header = text.size() - 16;
  CHECK(code_of([&] {
          parse(text, {.header = header, .tensors = 2, .name = 2, .rank = 3, .metadata = 8});
        }).empty());
  CHECK(code_of([&] { parse(text, {.header = header - 1}); }) == "header_too_large");
  CHECK(code_of([&] { parse(text, {.tensors = 1}); }) == "too_many_tensors");
  CHECK(code_of([&] { parse(text, {.name = 1}); }) == "name_too_long");
  CHECK(code_of([&] { parse(text, {.rank = 2}); }) == "rank_too_large");
  CHECK(code_of([&] { parse(text, {.metadata = 7}); }) == "metadata_too_large");
  temp_folder dir;
  put(dir / "a", text);
  CHECK(code_of([&] { safetensors_file(dir / "a", {.file = text.size()}); }).empty());
  CHECK(code_of([&] { safetensors_file(dir / "a", {.file = text.size() - 1}); }) == "too_large");
}

TEST_CASE("safetensors: 100,000 tensors parse in a second", "[io]") {
  std::string header = "{";
  for (int i = 0; i < 100'000; ++i)
    header += (i ? ",\"w" : "\"w") + std::to_string(i) + "\":" + tensor_json("[0]", "[0,0]");
  const auto text = safetensors_text(header + "}");
  const auto start = std::chrono::steady_clock::now();
  const auto f = parse(text);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(f.list().size() == 100'000);
  CHECK(f.find("w99999") != nullptr);
#if defined(__SANITIZE_ADDRESS__)
  CHECK(took.count() < 60.0);  // nothing is optimised there: 8 s
#else
  CHECK(took.count() < 2.0);  // busy machines included; about 0.1 s
#endif
}

TEST_CASE("safetensors: every truncation is refused, every bit flip is refused or read back equal", "[io]") {
  temp_folder dir;
  const auto tensors = some_tensors();
  write_safetensors(dir / "a", tensors, {{"k", "v"}});
  const auto text = get(dir / "a");
  const auto data_at = text.size() - [&] {
    std::size_t n = 0;
    for (const auto& t : tensors) n += t.bytes.size();
    return n;
  }();
  const auto original = meaning(parse(text));
  for (std::size_t n = 0; n < text.size(); ++n)
    CHECK_FALSE(code_of([&] { parse(text.substr(0, n)); }).empty());
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    auto s = text;
    s[bit / 8] = static_cast<char>(s[bit / 8] ^ 1 << bit % 8);
    const auto code = code_of([&] {
      const auto f = parse(s);
      write_safetensors(dir / "b", f.list(), f.metadata());
      CHECK(meaning(safetensors_file(dir / "b")) == meaning(f));
      if (bit / 8 >= data_at) CHECK(meaning(f) != original);
    });
    if (bit / 8 >= data_at) CHECK(code.empty());  // data: a checkpoint's checksum sees these
    refused += !code.empty();
  }
  CHECK(refused > 4 * data_at);
}

TEST_CASE("safetensors: the writer refuses what the reader would, and leaves the old file", "[io]") {
  temp_folder dir;
  put(dir / "a", "old");
  const std::string data(16, '\0');
  const auto code = [&](const tensor_entry& t) {
    return code_of([&] { write_safetensors(dir / "a", std::span(&t, 1)); });
  };
  const auto all = bytes_of(data);
  CHECK(code({"", dtype::f32, {4}, all}) == "bad_name");
  CHECK(code({"__metadata__", dtype::f32, {4}, all}) == "bad_name");
  CHECK(code({std::string("a\0b", 3), dtype::f32, {4}, all}) == "bad_name");
  CHECK(code({"\xff", dtype::f32, {4}, all}) == "bad_json");
  CHECK(code({std::string(4097, 'a'), dtype::f32, {4}, all}) == "name_too_long");
  CHECK(code({"a", static_cast<dtype>(99), {4}, all}) == "unknown_dtype");
  CHECK(code({"a", dtype::f32, {5}, all}) == "size_mismatch");
  CHECK(code({"a", dtype::f32, {0}, all}) == "size_mismatch");
  CHECK(code({"a", dtype::f32, {1, 1, 1, 1, 1, 1, 1, 1, 4}, all}) == "rank_too_large");
  CHECK(code({"a", dtype::f32, {4194305, 4194305, 211106198978564}, all.first(4)}) == "size_overflow");
  CHECK(code({"a", dtype::f32, {0, ~std::uint64_t{0}, 2}, {}}) == "size_overflow");
  const std::vector<tensor_entry> twice = {
      {"a", dtype::f32, {4}, all}, {"b", dtype::f32, {4}, all}, {"a", dtype::u8, {16}, all}};
  CHECK(code_of([&] { write_safetensors(dir / "a", twice); }) == "duplicate_key");
  CHECK(code_of([&] { write_safetensors(dir / "a", {}, {{"k", "\xff"}}); }) == "bad_json");
  CHECK(code_of([&] {
          write_safetensors(dir / "a", {}, {{"k", std::string(1u << 20, 'x')}});
        }) == "metadata_too_large");
  CHECK(code_of([&] {
          write_safetensors(dir / "a", {}, {{"k", std::string(1'000'000, '\x01')}});
        }) == "string_too_long");
  std::vector<tensor_entry> many;
  for (int i = 0; i < 4200; ++i)
    many.push_back({std::string(4090, 'x') + std::to_string(i), dtype::u8, {0}, {}});
  CHECK(code_of([&] { write_safetensors(dir / "a", many); }) == "header_too_large");
  CHECK(get(dir / "a") == "old");
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("safetensors: names are never paths", "[io]") {
  temp_folder dir;
  const std::string data(4, 'x');
  const tensor_entry t{"../escaped", dtype::f32, {1}, bytes_of(data)};
  fs::create_directory(dir / "in");
  write_safetensors(dir / "in" / "a", std::span(&t, 1));
  CHECK(safetensors_file(dir / "in" / "a").at("../escaped").bytes.size() == 4);
  CHECK(names_in(dir.path()) == std::vector<std::string>{"in"});
}

TEST_CASE("tensor_entry: typed views, copies and conversions", "[io]") {
  const float f[] = {1.5f, -2, 0};
  const tensor_entry t{"f", dtype::f32, {3}, std::as_bytes(std::span(f))};
  CHECK(view_as<float>(t)[1] == -2);
  CHECK(element_count(t) == 3);
  CHECK(message_of([&] { view_as<double>(t); }).find("F32") != std::string::npos);
  CHECK_FALSE(message_of([&] { view_as<std::int32_t>(t); }).empty());
  std::vector<float> out(3);
  copy_to(t, std::span(out));
  CHECK(out[0] == 1.5f);
  std::vector<float> two(2);
  CHECK_FALSE(message_of([&] { copy_to(t, std::span(two)); }).empty());
  CHECK(to_floats(t) == out);

  // Misaligned data can be copied, not viewed.
  const auto file = parse(safetensors_text("{\"a\":" + tensor_json("[1]", "[0,1]", "\"U8\"") +
                                               ",\"b\":" + tensor_json("[1]", "[1,9]", "\"F64\"") + "}   ",
                                           zeros(7) + "\xf0\x3f"));
  const auto& b = file.at("b");
  CHECK(message_of([&] { view_as<double>(b); }).find("misaligned") != std::string::npos);
  double d = 0;
  copy_to(b, std::span(&d, 1));
  CHECK(d == 1.0);
  CHECK(to_floats(b) == std::vector<float>{1});

  const std::string flags("\0\1\2", 3);
  const tensor_entry yes{"yes", dtype::boolean, {2}, bytes_of(flags).first(2)},
      maybe{"maybe", dtype::boolean, {3}, bytes_of(flags)};
  std::vector<std::uint8_t> u(2), v(3);
  copy_to(yes, std::span(u));
  CHECK(u[1] == 1);
  CHECK(message_of([&] { copy_to(maybe, std::span(v)); }).find("0 or 1") != std::string::npos);
  CHECK_FALSE(message_of([&] { to_floats(yes); }).empty());
  CHECK_FALSE(message_of([&] { element_count({"x", dtype::u8, {1ull << 32, 1ull << 32}, {}}); }).empty());
}

TEST_CASE("tensor_entry: half and bfloat16 values, all 65,536 of each", "[io]") {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto b = static_cast<std::uint16_t>(bits);
    const float sign = bits & 0x8000 ? -1.f : 1.f;
    const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
    const float want = exponent == 31 ? fraction ? std::nanf("") : sign * INFINITY
                       : exponent == 0
                           ? sign * std::ldexp(static_cast<float>(fraction), -24)
                           : sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
    const float got = from_f16(b);
    if (!(std::isnan(want) ? std::isnan(got) : got == want && std::signbit(got) == std::signbit(want)))
      FAIL("half " << bits << ": " << got);
    const float brain = from_bf16(b);
    std::uint32_t whole;
    std::memcpy(&whole, &brain, 4);
    if (whole != bits << 16) FAIL("bfloat16 " << bits);
  }
  SUCCEED();
}

TEST_CASE("tensor_entry: floats become the nearest half or bfloat16, ties to even", "[io]") {
  const auto check = [](auto to, auto from, std::uint16_t infinity) {
    for (unsigned b = 0; b < 65536; ++b) {
      const auto bits = static_cast<std::uint16_t>(b);
      const float x = from(bits);
      if (std::isnan(x) ? !std::isnan(from(to(x))) : to(x) != bits) FAIL("round trip of " << b);
      if ((b & 0x7fffu) >= infinity) continue;
      const double above = (b & 0x7fffu) + 1 == infinity ? 2 * double(x) - double(from(static_cast<std::uint16_t>(b - 1)))
                                                         : double(from(static_cast<std::uint16_t>(b + 1)));
      const float middle = static_cast<float>((double(x) + above) / 2);
      const auto even = static_cast<std::uint16_t>(b % 2 ? b + 1 : b), next = static_cast<std::uint16_t>(b + 1);
      if (to(middle) != even) FAIL("middle above " << b);
      if (to(std::nextafterf(middle, 0)) != bits) FAIL("below the middle above " << b);
      if (to(std::nextafterf(middle, x < 0 || bits == 0x8000 ? -INFINITY : INFINITY)) != next) FAIL("over the middle above " << b);
    }
  };
  check(to_f16, from_f16, 0x7c00);
  check(to_bf16, from_bf16, 0x7f80);
  CHECK(to_f16(1e30f) == 0x7c00);
  CHECK(to_f16(-1e-30f) == 0x8000);
}

TEST_CASE("tensor_entry: NaN and infinity are found in each float type", "[io]") {
  const auto finite = [](dtype type, std::string bytes) {
    return message_of([&] {
             require_finite({"x", type, {bytes.size() / size_of(type)}, bytes_of(bytes)});
           })
        .empty();
  };
  CHECK(finite(dtype::f32, std::string("\0\0\x80\x3f\xff\xff\x7f\x7f", 8)));
  CHECK_FALSE(finite(dtype::f32, std::string("\0\0\x80\x3f\0\0\x80\x7f", 8)));
  CHECK_FALSE(finite(dtype::f32, std::string("\1\0\x80\xff", 4)));
  CHECK(finite(dtype::f64, std::string("\0\0\0\0\0\0\xe0\x7f", 8)));
  CHECK_FALSE(finite(dtype::f64, std::string("\0\0\0\0\0\0\xf0\x7f", 8)));
  CHECK(finite(dtype::f16, std::string("\xff\x7b", 2)));
  CHECK_FALSE(finite(dtype::f16, std::string("\0\x7c", 2)));
  CHECK(finite(dtype::bf16, std::string("\x7f\x7f", 2)));
  CHECK_FALSE(finite(dtype::bf16, std::string("\x80\x7f", 2)));
  CHECK(finite(dtype::i32, std::string("\0\0\x80\x7f", 4)));
}
