#include <modx/io/idx.hpp>

#include <sys/stat.h>
#include <zlib.h>

#include "catch.hpp"
#include "idx_files.hpp"
#include "io_support.hpp"

using namespace modx::io;
using namespace modx::test;

TEST_CASE("idx: reads what was written, raw and gzipped, rank 1 to 8", "[io]") {
  temp_folder dir;
  std::vector<std::uint32_t> shape;
  for (std::uint32_t rank = 1; rank <= 8; ++rank) {
    shape.push_back(rank % 3 + 1);
    const auto text = idx_text(shape);
    put(dir / "a", text);
    put(dir / "a.gz", gzip(text));
    for (const char* name : {"a", "a.gz"}) {
      const auto a = load_idx(dir / name);
      CHECK(a.shape == std::vector<std::size_t>(shape.begin(), shape.end()));
      REQUIRE(a.data.size() == text.size() - 4 - 4 * rank);
      for (std::size_t i = 0; i < a.data.size(); ++i) CHECK(a.data[i] == static_cast<std::uint8_t>(i * 7));
    }
  }
  put(dir / "a.gz", named(gzip(idx_text({2})), 1 << 15));
  CHECK(load_idx(dir / "a.gz").data.size() == 2);
  // Larger than every buffer on the way.
  const auto text = idx_text({3, 1000, 1001});
  put(dir / "a.gz", gzip(text));
  const auto a = load_idx(dir / "a.gz");
  CHECK(std::string(a.data.begin(), a.data.end()) == text.substr(16));
  CHECK(code_of([&] { load_idx(dir / "a.gz", 3'003'000); }).empty());
  CHECK(code_of([&] { load_idx(dir / "a.gz", 3'002'999); }) == "too_large");
}

namespace {
struct bad {
  const char* name;
  std::string bytes;
  const char* code;
  std::uint64_t offset;
};

std::string with_type(int type) {
  auto s = idx_text({2, 3});
  s[2] = static_cast<char>(type);
  return s;
}
std::string with_rank(int rank) {
  auto s = idx_text({2, 3});
  s[3] = static_cast<char>(rank);
  return s;
}
std::string changed(std::string s, std::size_t at, int by) {
  s[at] = static_cast<char>(s[at] ^ by);
  return s;
}
}  // namespace

TEST_CASE("idx: malformed files give exact codes and places", "[io]") {
  const auto ok = idx_text({2, 3});
  const auto zip = gzip(ok);
  const auto head = [](std::vector<std::uint32_t> shape) { return idx_text(shape, 0); };
  const std::uint32_t top = 0xffffffff;
  const std::vector<bad> cases = {
      {"empty", "", "truncated_header", 0},
      {"1 byte", ok.substr(0, 1), "truncated_header", 1},
      {"3 bytes", ok.substr(0, 3), "truncated_header", 3},
      {"magic only", ok.substr(0, 4), "truncated_header", 4},
      {"half the first dimension", ok.substr(0, 6), "truncated_header", 6},
      {"no second dimension", ok.substr(0, 8), "truncated_header", 8},
      {"second dimension short by one", ok.substr(0, 11), "truncated_header", 11},
      {"no data", ok.substr(0, 12), "truncated_data", 12},
      {"one byte of data missing", ok.substr(0, ok.size() - 1), "truncated_data", 17},
      {"one byte too many", ok + "x", "trailing_bytes", 18},
      {"two files in one", ok + ok, "trailing_bytes", 18},
      {"first byte set", changed(ok, 0, 1), "bad_magic", 0},
      {"second byte set", changed(ok, 1, 128), "bad_magic", 0},
      {"little-endian magic", std::string("\x02\x08\0\0", 4) + ok.substr(4), "bad_magic", 0},
      {"text", "label,pixel0,pixel1\n5,0,0\n", "bad_magic", 0},
      {"gzip without the name", zip, "bad_magic", 0},
      {"PNG", "\x89PNG\r\n\x1a\n    ", "bad_magic", 0},
      {"type 0", with_type(0), "unknown_type", 2},
      {"type 7", with_type(7), "unknown_type", 2},
      {"type 10", with_type(10), "unknown_type", 2},
      {"type 15", with_type(15), "unknown_type", 2},
      {"type 255", with_type(255), "unknown_type", 2},
      {"signed bytes", with_type(9), "unsupported_type", 2},
      {"shorts", with_type(11), "unsupported_type", 2},
      {"ints", with_type(12), "unsupported_type", 2},
      {"floats", with_type(13), "unsupported_type", 2},
      {"doubles", with_type(14), "unsupported_type", 2},
      {"rank 0", with_rank(0), "bad_rank", 3},
      {"rank 0, one byte", std::string("\0\0\x08\0x", 5), "bad_rank", 3},
      {"rank 9", with_rank(9), "bad_rank", 3},
      {"rank 255", with_rank(255), "bad_rank", 3},
      {"rank one more than there is", with_rank(3), "truncated_data", 18},
      {"rank one less than there is", with_rank(1), "trailing_bytes", 10},
      {"first dimension 0", head({0, 3}), "zero_dimension", 4},
      {"last dimension 0", head({2, 0}), "zero_dimension", 8},
      {"0 hides an overflow", head({top, top, top, 0}), "zero_dimension", 16},
      {"product above 2^64", head({top, top, top}), "size_overflow", 4},
      {"product wraps to 0", head({1u << 31, 1u << 31, 4}), "size_overflow", 4},
      {"product wraps to 4", head({4194305, 4194305, 0x80000000, 98304}), "size_overflow", 4},
      {"eight times 2^32 - 1", head({top, top, top, top, top, top, top, top}), "size_overflow", 4},
      {"just below 2^64", head({top, top}), "too_large", 4},
      {"4 GiB claimed", head({top}), "too_large", 4},
      {"1 GiB + 1 claimed", head({(1u << 30) + 1}), "too_large", 4},
      {"1 GiB claimed, 3 bytes there", head({1u << 30}) + "abc", "truncated_data", 11},
      {"little-endian dimension", std::string("\0\0\x08\x01\x06\0\0\0", 8) + "abcdef", "truncated_data", 14},
  };
  REQUIRE(cases.size() >= 45);
  temp_folder dir;
  for (const auto& c : cases) {
    put(dir / "a", c.bytes);
    INFO(c.name);
    try {
      load_idx(dir / "a");
      FAIL_CHECK("no error");
    } catch (const io_error& e) {
      CHECK(e.code() == c.code);
      CHECK(e.offset() == c.offset);
      CHECK(std::string(e.what()).find((dir / "a").string()) != std::string::npos);
    }
    if (c.code == std::string("bad_magic") && c.bytes == zip) continue;
    put(dir / "a.gz", gzip(c.bytes));  // the same through gzip
    CHECK(code_of([&] { load_idx(dir / "a.gz"); }) == c.code);
  }
}

TEST_CASE("idx: malformed gzip gives exact codes", "[io]") {
  const auto ok = idx_text({2, 3});
  const auto zip = gzip(ok);
  const auto bomb = gzip(idx_text({2, 3}) + std::string(50'000'000, '\0'));
  REQUIRE(bomb.size() < 100'000);
  struct {
    const char* name;
    std::string bytes;
    const char* code;
  } const cases[] = {
      {"empty", "", "truncated_gzip"},
      {"first byte only", zip.substr(0, 1), "truncated_gzip"},
      {"header only", zip.substr(0, 10), "truncated_gzip"},
      {"half", zip.substr(0, zip.size() / 2), "truncated_gzip"},
      {"no trailer", zip.substr(0, zip.size() - 8), "truncated_gzip"},
      {"last byte missing", zip.substr(0, zip.size() - 1), "truncated_gzip"},
      {"not gzip", ok, "not_gzip"},
      {"zlib instead of gzip", "\x78\x9c" + zip.substr(2), "not_gzip"},
      {"unknown method", changed(zip, 2, 0xff), "not_gzip"},
      {"reserved flag", changed(zip, 3, 0xe0), "not_gzip"},
      {"bad block type", changed(zip, 10, 0x06), "corrupt_gzip"},
      {"wrong CRC", changed(zip, zip.size() - 8, 1), "corrupt_gzip"},
      {"wrong length", changed(zip, zip.size() - 4, 1), "corrupt_gzip"},
      {"one byte after the end", zip + std::string(1, '\0'), "trailing_bytes"},
      {"a second member", zip + zip, "trailing_bytes"},
      {"one byte after the end, in the next piece", named(zip, 1 << 15) + "x", "trailing_bytes"},
      {"64 KiB after the end", zip + std::string(65536, 'x'), "trailing_bytes"},
      {"more contents than the header says", gzip(ok + "x"), "trailing_bytes"},
      {"bomb", bomb, "trailing_bytes"},
      {"bomb that claims its size", gzip(idx_text({0x7fffffff}, 0)), "too_large"},
  };
  temp_folder dir;
  for (const auto& c : cases) {
    put(dir / "a.gz", c.bytes);
    INFO(c.name);
    CHECK(code_of([&] { load_idx(dir / "a.gz"); }) == c.code);
  }
}

TEST_CASE("idx: things that are no regular files", "[io]") {
  temp_folder dir;
  fs::create_directory(dir / "d");
  fs::create_directory(dir / "d.gz");
  REQUIRE(::mkfifo((dir / "f").c_str(), 0600) == 0);
  REQUIRE(::mkfifo((dir / "f.gz").c_str(), 0600) == 0);
  for (const char* name : {"d", "d.gz", "f", "f.gz"})
    CHECK(code_of([&] { load_idx(dir / name); }) == "not_regular_file");
  CHECK(code_of([&] { load_idx(dir / "none"); }) == "not_found");
  CHECK(code_of([&] { load_idx(dir / "none.gz"); }) == "not_found");
  fs::create_symlink(dir / "loop", dir / "loop");
  CHECK(code_of([&] { load_idx(dir / "loop"); }) == "open_failed");
}

TEST_CASE("idx: every truncation and every bit flip is an error or the same shape", "[io]") {
  temp_folder dir;
  const auto ok = idx_text({2, 3, 2});
  for (const bool zipped : {false, true}) {
    const auto bytes = zipped ? gzip(ok) : ok;
    const auto file = dir / (zipped ? "a.gz" : "a");
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      put(file, bytes.substr(0, n));
      CHECK_FALSE(code_of([&] { load_idx(file); }).empty());
    }
    std::size_t accepted = 0;
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      put(file, changed(bytes, bit / 8, 1 << bit % 8));
      INFO("bit " << bit);
      const auto code = code_of([&] {
        const auto a = load_idx(file);
        CHECK(a.shape == std::vector<std::size_t>{2, 3, 2});
        CHECK(a.data.size() == 12);
        if (zipped)
          CHECK(std::string(a.data.begin(), a.data.end()) == ok.substr(16));  // only in unused header bits
      });
      if (!zipped) CHECK(code.empty() == (bit >= 8 * 16));
      accepted += code.empty();
    }
    CHECK(accepted < 100);
  }
}

TEST_CASE("idx: any failing call is an error and leaks nothing", "[io]") {
  temp_folder dir;
  const auto text = idx_text({4, 5000, 10});
  put(dir / "a", text);
  put(dir / "a.gz", gzip(text));
  for (const char* name : {"a", "a.gz"}) {
    failing_calls all(0, 0);
    load_idx(dir / name, 1 << 20, all);
    const auto before = open_descriptors();
    for (const int e : {EIO, EINTR, ENOMEM})
      for (int n = 1; n <= all.calls(); ++n) {
        failing_calls os(n, e);
        const auto code = code_of([&] { load_idx(dir / name, 1 << 20, os); });
        INFO(os.failed() << " " << e);
        const bool retried = e == EINTR && (os.failed() == "open" || os.failed() == "read");
        CHECK(code.empty() == (retried || os.failed() == "close"));
        CHECK(open_descriptors() == before);
      }
  }
}
