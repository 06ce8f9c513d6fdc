// Safetensors files that a reader must refuse, each with its code; and odd ones that it must take ("").
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace modx::test {

struct malformed {
  std::string name, bytes, code;
};

/// A safetensors file: 8 bytes of length (the header's, unless given), header, data.
inline std::string safetensors_text(const std::string& header, const std::string& data = "") {
  std::string s;
  for (unsigned i = 0; i < 8; ++i) s += static_cast<char>(std::uint64_t{header.size()} >> (8 * i));
  return s + header + data;
}
inline std::string with_length(std::uint64_t n, const std::string& rest) {
  std::string s;
  for (unsigned i = 0; i < 8; ++i) s += static_cast<char>(n >> (8 * i));
  return s + rest;
}

inline std::string zeros(std::size_t n) { return std::string(n, '\0'); }

/// {"dtype":…,"shape":…,"data_offsets":…}
inline std::string tensor_json(const std::string& shape, const std::string& offsets,
                               const std::string& type = "\"F32\"") {
  return "{\"dtype\":" + type + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

inline std::vector<malformed> malformed_safetensors() {
  std::vector<malformed> all;
  const std::string t = tensor_json("[2,2]", "[0,16]");
  const auto raw = [&](const std::string& name, const std::string& bytes, const std::string& code) {
    all.push_back({name, bytes, code});
  };
  const auto header = [&](const std::string& name, const std::string& json, std::size_t data,
                          const std::string& code) { raw(name, safetensors_text(json, zeros(data)), code); };
  const auto one = [&](const std::string& name, const std::string& tensor, std::size_t data,
                       const std::string& code) { header(name, "{\"a\":" + tensor + "}", data, code); };
  const auto shape = [&](const std::string& name, const std::string& s, const std::string& code) {
    one("shape " + name, tensor_json(s, "[0,16]"), 16, code);
  };
  const auto offsets = [&](const std::string& name, const std::string& o, const std::string& code) {
    one("offsets " + name, tensor_json("[2,2]", o), 16, code);
  };
  const auto type = [&](const std::string& name, const std::string& d, const std::string& code) {
    one("dtype " + name, tensor_json("[2,2]", "[0,16]", d), 16, code);
  };
  const auto two = [&](const std::string& name, const std::string& a, const std::string& b, std::size_t data,
                       const std::string& code) {
    header(name, "{\"a\":" + a + ",\"b\":" + b + "}", data, code);
  };
  const auto at = [](int begin, int end) {
    return tensor_json("[4]", "[" + std::to_string(begin) + "," + std::to_string(end) + "]");
  };

  // The file and its length field.
  raw("empty file", "", "truncated_header");
  raw("7 bytes", "\x08" + zeros(6), "truncated_header");
  raw("length only", with_length(60, ""), "header_past_end");
  raw("length 0", with_length(0, ""), "empty_header");
  raw("length 0 with data", with_length(0, zeros(16)), "empty_header");
  raw("length 2^64 - 1", with_length(~std::uint64_t{0}, "{}"), "header_too_large");
  raw("length 2^64 - 4, wraps", with_length(~std::uint64_t{3}, "{}"), "header_too_large");
  raw("length 2^64 - 8, wraps to 0", with_length(~std::uint64_t{7}, "{}"), "header_too_large");
  raw("length 2^63", with_length(std::uint64_t{1} << 63, "{}"), "header_too_large");
  raw("length 2^32 + 2", with_length((std::uint64_t{1} << 32) + 2, "{}"), "header_too_large");
  raw("length 100 MB + 1", with_length(100'000'001, "{}"), "header_too_large");
  raw("length 100 MB of nothing", with_length(100'000'000, "{}"), "header_past_end");
  raw("length one past the end", with_length(3, "{}"), "header_past_end");
  raw("length one short", with_length(1, "{}"), "bad_json");
  raw("big-endian length", zeros(7) + "\x02{}", "header_too_large");
  raw("pickle", "\x80\x02}q" + zeros(1) + "X\x05" + zeros(3) + "hello", "header_too_large");
  raw("ZIP", "PK\x03\x04\x14\x01\x01\x01\x01\x01\x01\x01", "header_too_large");

  // JSON that isn't, or not an object.
  header("unclosed", "{", 0, "bad_json");
  header("closed twice", "{}}", 0, "bad_json");
  header("array", "[]", 0, "bad_root");
  header("null", "null", 0, "bad_root");
  header("string", "\"x\"", 0, "bad_root");
  header("number", "17", 0, "bad_root");
  header("true", "true", 0, "bad_root");
  header("spaces only", "        ", 0, "bad_json");
  header("trailing NULs", "{}" + zeros(2), 0, "bad_json");
  header("NUL first", zeros(1) + "{}", 0, "bad_json");
  header("trailing garbage", "{}x", 0, "bad_json");
  header("two roots", "{}{}", 0, "bad_json");
  header("byte-order mark", "\xef\xbb\xbf{}", 0, "bad_json");
  header("UTF-16", std::string("{\0}\0", 4), 0, "bad_json");
  header("bad UTF-8 in a name", "{\"\xff\":" + t + "}", 16, "bad_json");
  header("overlong UTF-8 in a name", "{\"\xc0\xaf\":" + t + "}", 16, "bad_json");
  header("surrogate in UTF-8", "{\"\xed\xa0\x80\":" + t + "}", 16, "bad_json");
  header("lone surrogate escape", "{\"\\ud800\":" + t + "}", 16, "bad_json");
  header("bad escape", "{\"\\x41\":" + t + "}", 16, "bad_json");
  header("control character in a name", "{\"a\x01\":" + t + "}", 16, "bad_json");
  header("newline in a name", "{\"a\n\":" + t + "}", 16, "bad_json");
  header("comment", "{/*x*/}", 0, "bad_json");
  header("line comment", "{}//x", 0, "bad_json");
  header("trailing comma", "{\"a\":" + t + ",}", 16, "bad_json");
  header("missing colon", "{\"a\"" + t + "}", 16, "bad_json");
  header("single quotes", "{'a':1}", 0, "bad_json");
  header("unquoted name", "{a:" + t + "}", 16, "bad_json");
  header("unclosed string", "{\"a", 0, "bad_json");
  header("unclosed escape", "{\"a\\", 0, "bad_json");
  header("200,000 brackets", std::string(200'000, '['), 0, "json_too_deep");
  header("100,000 brackets in a tensor", "{\"a\":" + std::string(100'000, '['), 0, "json_too_deep");
  header("65 brackets", "{\"a\":" + std::string(64, '['), 0, "json_too_deep");
  header("64 brackets", "{\"a\":" + std::string(63, '['), 0, "bad_tensor");
  header("number of 65 digits", "{\"a\":" + std::string(65, '1') + "}", 0, "number_too_long");
  header("number of 64 digits", "{\"a\":" + std::string(64, '1') + "}", 0, "bad_tensor");
  header("number beyond double", "{\"a\":1e999}", 0, "bad_json");

  // Names and keys.
  header("NUL in a name", "{\"a\\u0000b\":" + t + "}", 16, "bad_name");
  header("empty name", "{\"\":" + t + "}", 16, "bad_name");
  header("name of 4097 bytes", "{\"" + std::string(4097, 'a') + "\":" + t + "}", 16, "name_too_long");
  header("name of 1 MB", "{\"" + std::string(1'000'000, 'a') + "\":" + t + "}", 16, "name_too_long");
  header("name of 3 MB", "{\"" + std::string(3'000'000, 'a') + "\":" + t + "}", 16, "string_too_long");
  header("same tensor twice", "{\"a\":" + t + ",\"a\":" + t + "}", 16, "duplicate_key");
  header("two tensors of one name", "{\"a\":" + t + ",\"a\":" + tensor_json("[4]", "[0,16]", "\"I32\"") + "}",
         16, "duplicate_key");
  header("one name, two ranges", "{\"a\":" + at(0, 16) + ",\"a\":" + at(16, 32) + "}", 32, "duplicate_key");
  header("one name, escaped", "{\"a\":" + at(0, 16) + ",\"\\u0061\":" + at(16, 32) + "}", 32,
         "duplicate_key");
  header("one name, far apart", "{\"a\":" + at(0, 16) + ",\"b\":" + at(16, 32) + ",\"a\":" + at(32, 48) + "}",
         48, "duplicate_key");
  header("__metadata__ twice", "{\"__metadata__\":{\"a\":\"b\"},\"__metadata__\":{\"a\":\"c\"}}", 0,
         "duplicate_key");
  header("__metadata__ twice, null", "{\"__metadata__\":null,\"__metadata__\":{\"a\":\"c\"}}", 0,
         "duplicate_key");
  header("key of __metadata__ twice", "{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", 0, "duplicate_key");
  header("key of __metadata__ twice, escaped", "{\"__metadata__\":{\"a\":\"b\",\"\\u0061\":\"c\"}}", 0,
         "duplicate_key");
  one("shape twice", "{\"dtype\":\"F32\",\"shape\":[2,2],\"shape\":[4],\"data_offsets\":[0,16]}", 16,
      "duplicate_key");
  one("dtype twice", "{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}", 16,
      "duplicate_key");
  one("offsets twice", "{\"dtype\":\"F32\",\"data_offsets\":[0,16],\"shape\":[4],\"data_offsets\":[0,16]}",
      16, "duplicate_key");
  one("one field more", "{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16],\"x\":1}", 16,
      "unknown_field");
  one("no dtype", "{\"shape\":[2,2],\"data_offsets\":[0,16]}", 16, "missing_field");
  one("no shape", "{\"dtype\":\"F32\",\"data_offsets\":[0,16]}", 16, "missing_field");
  one("no offsets", "{\"dtype\":\"F32\",\"shape\":[2,2]}", 16, "missing_field");
  one("no fields", "{}", 0, "missing_field");
  one("tensor is null", "null", 0, "bad_tensor");
  one("tensor is a number", "1", 0, "bad_tensor");
  one("tensor is negative", "-1", 0, "bad_tensor");
  one("tensor is a string", "\"F32\"", 0, "bad_tensor");
  one("tensor is an array", "[]", 0, "bad_tensor");
  one("tensor is true", "true", 0, "bad_tensor");

  // Types.
  type("unknown", "\"F99\"", "unknown_dtype");
  type("lower case", "\"f32\"", "unknown_dtype");
  type("empty", "\"\"", "unknown_dtype");
  type("with a NUL", "\"F32\\u0000\"", "unknown_dtype");
  type("number", "3", "unknown_dtype");
  type("null", "null", "unknown_dtype");
  type("array", "[\"F32\"]", "unknown_dtype");
  type("object", "{}", "unknown_dtype");
  one("F4, odd", tensor_json("[3]", "[0,2]", "\"F4\""), 2, "unsupported_dtype");
  one("F4, even", tensor_json("[4]", "[0,2]", "\"F4\""), 2, "unsupported_dtype");
  one("F6_E2M3", tensor_json("[4]", "[0,3]", "\"F6_E2M3\""), 3, "unsupported_dtype");
  one("F6_E3M2", tensor_json("[4]", "[0,3]", "\"F6_E3M2\""), 3, "unsupported_dtype");

  // Shapes.
  shape("negative", "[-2,-2]", "bad_shape");
  shape("float", "[2.0,2]", "bad_shape");
  shape("exponent", "[2e0,2]", "bad_shape");
  shape("string", "[\"2\",2]", "bad_shape");
  shape("null", "null", "bad_shape");
  shape("number", "4", "bad_shape");
  shape("object", "{}", "bad_shape");
  shape("nested", "[[4]]", "bad_shape");
  shape("null inside", "[null]", "bad_shape");
  shape("true inside", "[true,4]", "bad_shape");
  shape("2^64", "[18446744073709551616]", "bad_shape");
  shape("leading zero", "[02,2]", "bad_json");
  shape("plus", "[+2,2]", "bad_json");
  shape("hexadecimal", "[0x4]", "bad_json");
  shape("NaN", "[NaN]", "bad_json");
  one("shape minus zero", tensor_json("[-0]", "[0,0]"), 0, "bad_shape");
  one("shape of rank 9", tensor_json("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "rank_too_large");
  {
    std::string many = "[1";
    for (int i = 1; i < 1000; ++i) many += ",1";
    one("shape of rank 1000", tensor_json(many + "]", "[0,4]"), 4, "rank_too_large");
  }
  shape("product overflows", "[2,18446744073709551614]", "size_overflow");
  shape("bytes overflow", "[2,9223372036854775807]", "size_overflow");
  shape("product wraps to 4 bytes", "[4194305,4194305,211106198978564]", "size_overflow");
  one("shape wraps to 0 bytes", tensor_json("[4294967296,4294967296]", "[0,0]"), 0, "size_overflow");
  one("zero last hides an overflow", tensor_json("[4294967296,4294967296,0]", "[0,0]"), 0, "size_overflow");
  one("zero first hides an overflow", tensor_json("[0,4294967296,4294967296,4294967296]", "[0,0]"), 0,
      "size_overflow");
  one("2^64 - 1 bytes", tensor_json("[18446744073709551615]", "[0,18446744073709551615]", "\"U8\""), 0,
      "truncated_data");
  shape("too large for its range", "[2,3]", "size_mismatch");
  shape("too small for its range", "[2,1]", "size_mismatch");
  shape("zero with a range", "[0]", "size_mismatch");
  shape("scalar with a range of 16", "[]", "size_mismatch");

  // Ranges.
  offsets("reversed", "[16,0]", "bad_offsets");
  offsets("negative", "[-16,0]", "bad_offsets");
  offsets("one", "[16]", "bad_offsets");
  offsets("none", "[]", "bad_offsets");
  offsets("three", "[0,16,32]", "bad_offsets");
  offsets("float", "[0,16.0]", "bad_offsets");
  offsets("string", "[\"0\",16]", "bad_offsets");
  offsets("null", "null", "bad_offsets");
  offsets("object", "{\"begin\":0}", "bad_offsets");
  offsets("nested", "[[0,16]]", "bad_offsets");
  offsets("2^64", "[0,18446744073709551616]", "bad_offsets");
  offsets("shorter than the shape", "[0,12]", "size_mismatch");
  offsets("far away", "[18446744073709551599,18446744073709551615]", "hole");
  one("past the end", tensor_json("[2,3]", "[0,24]"), 16, "truncated_data");
  two("the same range twice", at(0, 16), at(0, 16), 16, "overlap");
  two("overlap", at(0, 16), at(8, 24), 24, "overlap");
  two("overlap, in the other order", at(8, 24), at(0, 16), 24, "overlap");
  two("one inside the other", tensor_json("[8]", "[0,32]"), at(8, 24), 32, "overlap");
  two("hole", at(0, 16), at(20, 36), 36, "hole");
  one("hole at the start", at(4, 20), 20, "hole");
  one("one byte more", at(0, 16), 17, "trailing_bytes");
  one("one byte less", at(0, 16), 15, "truncated_data");
  header("data of no tensor", "{}", 1, "trailing_bytes");
  one("zero-size tensor past the end", tensor_json("[0]", "[4,4]"), 0, "hole");
  two("zero-size tensor inside another", at(0, 16), tensor_json("[0]", "[8,8]"), 16, "overlap");
  raw("ZIP behind the data",
      safetensors_text("{\"a\":" + at(0, 16) + "}", zeros(16) + "PK\x05\x06" + zeros(18)), "trailing_bytes");
  {
    std::string ten;
    for (int i = 0; i < 10; ++i) ten += (i ? ",\"w" : "\"w") + std::to_string(i) + "\":" + at(0, 16);
    header("ten tensors on one range", "{" + ten + "}", 16, "overlap");
  }

  // __metadata__.
  header("metadata number", "{\"__metadata__\":{\"a\":1}}", 0, "bad_metadata");
  header("metadata object inside", "{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0, "bad_metadata");
  header("metadata null inside", "{\"__metadata__\":{\"a\":null}}", 0, "bad_metadata");
  header("metadata array", "{\"__metadata__\":[]}", 0, "bad_metadata");
  header("metadata string", "{\"__metadata__\":\"a\"}", 0, "bad_metadata");
  header("metadata is a tensor", "{\"__metadata__\":" + t + "}", 16, "bad_metadata");
  header("metadata of 1 MiB + 1", "{\"__metadata__\":{\"a\":\"" + std::string(1u << 20, 'x') + "\"}}", 0,
         "metadata_too_large");

  {
    std::string keys;
    for (int i = 0; i < 4097; ++i) keys += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"\"";
    header("metadata of 4097 keys", "{\"__metadata__\":{" + keys + "}}", 0, "metadata_too_large");
    header("ok: metadata of 4096 keys", "{\"__metadata__\":{" + keys.substr(0, keys.rfind(',')) + "}}", 0,
           "");
  }

  // Taken.
  header("ok: empty", "{}", 0, "");
  header("ok: white space around", " \n{} \t\r\n", 0, "");
  header("ok: metadata only", "{\"__metadata__\":{\"k\":\"v\"}}", 0, "");
  header("ok: metadata null", "{\"__metadata__\":null}", 0, "");
  header("ok: metadata of 1 MiB", "{\"__metadata__\":{\"a\":\"" + std::string((1u << 20) - 1, 'x') + "\"}}",
         0, "");
  one("ok: one tensor", t, 16, "");
  one("ok: fields in another order", "{\"data_offsets\":[0,16],\"shape\":[2,2],\"dtype\":\"F32\"}", 16, "");
  one("ok: scalar", tensor_json("[]", "[0,4]"), 4, "");
  one("ok: zero-size", tensor_json("[0,7]", "[0,0]"), 0, "");
  one("ok: rank 8", tensor_json("[1,1,1,1,1,1,1,1]", "[0,4]"), 4, "");
  two("ok: order of names is not that of data", at(16, 32), at(0, 16), 32, "");
  two("ok: zero-size before another", at(0, 16), tensor_json("[0]", "[0,0]"), 16, "");
  two("ok: zero-size after another", at(0, 16), tensor_json("[0]", "[16,16]"), 16, "");
  two("ok: misaligned F64", tensor_json("[1]", "[0,1]", "\"U8\""), tensor_json("[1]", "[1,9]", "\"F64\""), 9,
      "");
  header("ok: a path for a name", "{\"../../etc/passwd\":" + t + "}", 16, "");
  header("ok: byte-order mark in a name", "{\"\\ufeffa\":" + t + "}", 16, "");
  header("ok: name of 4096 bytes", "{\"" + std::string(4096, 'a') + "\":" + t + "}", 16, "");
  header(
      "ok: name of 4096 escapes",
      [&] {
        std::string name;
        for (int i = 0; i < 4096; ++i) name += "\\u0041";
        return "{\"" + name + "\":" + t + "}";
      }(),
      16, "");
  raw("ok: BOOL of 2 and 255",
      safetensors_text("{\"a\":" + tensor_json("[2]", "[0,2]", "\"BOOL\"") + "}", "\x02\xff"), "");
  raw("ok: NaN", safetensors_text("{\"a\":" + tensor_json("[1]", "[0,4]") + "}", "\xff\xff\xff\x7f"), "");
  for (const char* d : {"U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "BOOL"})
    one(std::string("ok: dtype ") + d, tensor_json("[5]", "[0,5]", '"' + std::string(d) + '"'), 5, "");
  for (const char* d : {"I16", "U16", "F16", "BF16"})
    one(std::string("ok: dtype ") + d, tensor_json("[5]", "[0,10]", '"' + std::string(d) + '"'), 10, "");
  for (const char* d : {"I32", "U32", "F32"})
    one(std::string("ok: dtype ") + d, tensor_json("[5]", "[0,20]", '"' + std::string(d) + '"'), 20, "");
  for (const char* d : {"I64", "U64", "F64", "C64"})
    one(std::string("ok: dtype ") + d, tensor_json("[5]", "[0,40]", '"' + std::string(d) + '"'), 40, "");
  return all;
}

}  // namespace modx::test
