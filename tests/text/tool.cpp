// modx_tokenize, run as its users run it.
#include "io/program.hpp"
#include "text_support.hpp"

using namespace modx::test;

#ifdef MODX_TOKENIZE
namespace {

outcome run(const arguments& options, const std::string& input = "") {
  return run_program(arguments{MODX_TOKENIZE} + options, input);
}

struct small_file : temp_folder {
  std::string name;
  small_file() : name((*this / "t.json").string()) { put(name, small_json({{"h", "e"}, {"l", "l"}}).dump()); }
};

}  // namespace

TEST_CASE("tool: lines to ids and back", "[text]") {
  const small_file f;
  const auto o = run({"--tokenizer", f.name}, "hell\n\nhe<end>\r\nlast");
  CHECK(o.err == "");
  CHECK(o.exit == 0);
  CHECK(o.out == "[256,257]\n[]\n[256,258,13]\n[108,97,115,116]\n");
  const auto back = run({"--tokenizer", f.name, "--decode"}, o.out);
  CHECK(back.exit == 0);
  CHECK(back.out == "hell\n\nhe<end>\r\nlast\n");
  CHECK(run({"--tokenizer", f.name}).out == "");
  CHECK(run({"--tokenizer", f.name}, "\n").out == "[]\n");
  CHECK(run({"--tokenizer", f.name, "--added", "none"}, "<end>").out == "[60,101,110,100,62]\n");
  CHECK(run({"--tokenizer", f.name, "--added", "not-special"}, "<end>").out == "[60,101,110,100,62]\n");
  CHECK(run({"--tokenizer", f.name, "--decode", "--skip-special"}, "[256, 258 ]").out == "he\n");
}

TEST_CASE("tool: many lines, and one of megabytes", "[text]") {
  const small_file f;
  std::string in, out;
  for (int i = 0; i < 20'000; ++i) in += "hell\n", out += "[256,257]\n";
  CHECK(run({"--tokenizer", f.name}, in).out == out);
  const auto o = run({"--tokenizer", f.name}, std::string(3'000'000, 'l'));
  CHECK(o.exit == 0);
  CHECK(o.out.size() == 1'500'000 * 4 + 2);
}

TEST_CASE("tool: help and wrong options", "[text]") {
  const small_file f;
  const auto help = run({"--help"});
  CHECK(help.exit == 0);
  for (const char* part : {"--tokenizer FILE", "--decode", "--added", "--invalid", "--skip-special"})
    CHECK(contains(help.out, part));
  CHECK(run({}).exit == 2);
  CHECK(contains(run({}).err, "--tokenizer is required"));
  CHECK(run({"--tokenizer", f.name, "--wrong"}).exit == 2);
  CHECK(run({"--tokenizer", f.name, "extra"}).exit == 2);
  CHECK(run({"--tokenizer", f.name, "--added", "some"}).exit == 2);
  CHECK(run({"--tokenizer", f.name, "--invalid", "ignore"}).exit == 2);
  CHECK(run({"--tokenizer", f.name, "--skip-special"}).exit == 2);
}

TEST_CASE("tool: files that are none", "[text]") {
  const small_file f;
  const auto none = run({"--tokenizer", (f / "none.json").string()}, "text");
  CHECK(none.exit == 1);
  CHECK(none.out == "");
  CHECK(contains(none.err, "error: modx: "));
  CHECK(contains(none.err, "[not_found]"));
  CHECK(contains(run({"--tokenizer", f.path().string()}, "text").err, "[not_regular_file]"));
  put(f / "bad.json", "{}");
  CHECK(contains(run({"--tokenizer", (f / "bad.json").string()}, "text").err,
                 "expected pre_tokenizer, found none [missing_field]"));
}

TEST_CASE("tool: lines that are not UTF-8, or no ids", "[text]") {
  const small_file f;
  const auto o = run({"--tokenizer", f.name}, "he\nhe\xff\nhe\n");
  CHECK(o.exit == 1);
  CHECK(o.out == "[256]\n");
  CHECK(o.err == "error: line 2: modx: text::tokenizer: expected text in UTF-8, found \"\\xff\" at byte 2\n");
  CHECK(run({"--tokenizer", f.name, "--invalid", "replace"}, "he\xff\n").out == "[256,239,191,189]\n");
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "expected JSON"},
      {"[1,2", "expected JSON"},
      {"[1] 2", "expected JSON"},
      {"he", "expected JSON"},
      {"7", "expected an array of ids, found 7"},
      {"{}", "expected an array of ids, found object"},
      {"[-1]", "expected an array of ids, found -1"},
      {"[1.5]", "expected an array of ids, found 1.5"},
      {"[\"1\"]", "expected an array of ids, found \"1\""},
      {"[[1]]", "expected an array of ids, found array"},
      {"[259]", "expected a token's id, below 259, found 259"},
      {"[2147483648]", "expected an array of ids, found 2147483648"},
      {"[18446744073709551616]", "expected an array of ids, found 1.8446744073709552e+19"},
      {"[null]", "found null"}};
  for (const auto& [line, sentence] : bad) {
    INFO(line);
    const auto d = run({"--tokenizer", f.name, "--decode"}, "[256]\n" + line + "\n");
    CHECK(d.exit == 1);
    CHECK(d.out == "he\n");
    CHECK(contains(d.err, "error: line 2: "));
    CHECK(contains(d.err, sentence));
  }
}

TEST_CASE("tool: what a line gives is there before the next is read", "[text]") {
  const small_file f;
  program p({MODX_TOKENIZE, "--tokenizer", f.name});
  CHECK(p.write("hell\nhe"));
  CHECK(p.read_some() == "[256,257]\n");
  p.send(SIGINT);  // Ctrl-C while it waits
  const auto o = p.wait();
  CHECK(o.signal == SIGINT);
  CHECK(o.out == "");
  CHECK(o.err == "");
}

TEST_CASE("tool: a reader that goes away ends it quietly", "[text]") {
  const small_file f;
  program p({MODX_TOKENIZE, "--tokenizer", f.name});
  CHECK(p.write("hell\n"));
  CHECK(p.read_some() == "[256,257]\n");
  p.close_out();
  CHECK(p.write("hell\n"));
  p.close_in();
  const auto o = p.wait();
  CHECK(o.signal == SIGPIPE);
  CHECK(o.err == "");
}

TEST_CASE("tool: output that can't be written is an error", "[text]") {
  if (::access("/dev/full", W_OK) != 0) return;
  const small_file f;
  const std::string command = "echo hell | '" MODX_TOKENIZE "' --tokenizer '" + f.name +
                              "' > /dev/full 2> '" + (f / "err").string() + "'";
  CHECK(std::system(command.c_str()) != 0);
  CHECK(contains(get(f / "err"), "standard output: expected to be written, found No space left on device"));
}
#endif
