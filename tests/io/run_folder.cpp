#include <modx/io/run_folder.hpp>

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "catch.hpp"
#include "io_support.hpp"

using namespace modx::io;
using namespace modx::test;
using nlohmann::json;

TEST_CASE("run_folder: files, logs and a manifest that notices every change", "[io]") {
  temp_folder dir;
  run_folder run(dir / "runs" / "1");
  run.write_json("config.json", {{"seed", 1}, {"name", "red"}});
  run.write_text("notes.txt", "hello\n");
  run.write_text("eval/a/table.csv", "x,y\n");
  for (int step = 0; step < 3; ++step) run.append_jsonl("log.jsonl", {{"step", step}});
  CHECK(json::parse(get(run.path("config.json"))) == json{{"seed", 1}, {"name", "red"}});
  CHECK(get(run.path("log.jsonl")) == "{\"step\":0}\n{\"step\":1}\n{\"step\":2}\n");
  run.manifest();
  CHECK(run.verify().empty());
  const auto m = json::parse(get(run.path("manifest.json")));
  CHECK(m["format"] == "modx-manifest-1");
  REQUIRE(m["files"].size() == 4);
  CHECK(m["files"][1]["name"] == "eval/a/table.csv");
  CHECK(m["files"][3]["size"] == 6);
  CHECK(m["files"][3]["xxh128"] == xxh128_of_file(run.path("notes.txt")));

  const auto only = [&](const std::string& part) {
    const auto problems = run.verify();
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].find(part) != std::string::npos);
  };
  run.append_jsonl("log.jsonl", {{"step", 3}});
  only("log.jsonl: expected 33 bytes, found 44");
  run.manifest();
  put(run.path("notes.txt"), "hallo\n");
  only("notes.txt: its contents have changed");
  fs::remove(run.path("notes.txt"));
  only("notes.txt: modx: ");
  fs::create_symlink(run.path("config.json"), run.path("notes.txt"));
  only("notes.txt: is a symlink");
  fs::remove(run.path("notes.txt"));
  fs::create_directory(run.path("notes.txt"));
  only("[not_regular_file]");
  fs::remove(run.path("notes.txt"));
  run.write_text("notes.txt", "hello\n");
  CHECK(run.verify().empty());
  run.write_text("eval/new", "");
  only("eval/new: not in the manifest");
  run.manifest();
  CHECK(run.verify().empty());
  CHECK(run_folder(dir / "runs" / "1").verify().empty());
}

TEST_CASE("run_folder: names can't leave the folder", "[io]") {
  temp_folder dir;
  run_folder run(dir / "in");
  for (const std::string name : {"", ".", "..", "../a", "a/../../b", "/etc/x", "a/", "a//b", "./a", "a/./b",
                                 "a\nb", "manifest.json"}) {
    INFO(name);
    CHECK(code_of([&] { run.write_text(name, "x"); }) == "bad_name");
    CHECK(code_of([&] { run.write_json(name, 1); }) == "bad_name");
    CHECK(code_of([&] { run.append_jsonl(name, 1); }) == "bad_name");
  }
  CHECK(names_in(dir.path()) == std::vector<std::string>{"in"});
  CHECK(names_in(dir / "in").empty());
  CHECK(code_of([&] { run.write_json("a", "\xff"); }) == "bad_json");
  put(dir / "file", "");
  CHECK(code_of([&] { run_folder(dir / "file"); }) == "open_failed");
  put(dir / "in" / "a\nb", "");
  CHECK(code_of([&] { run.manifest(); }) == "bad_name");
}

TEST_CASE("run_folder: malformed manifests are errors, and name no file outside", "[io]") {
  temp_folder dir;
  run_folder run(dir / "in");
  CHECK(code_of([&] { run.verify(); }) == "not_found");
  const std::string sum = "\"xxh128\":\"99aa06d3014798d86001c324468d497f\"";
  const auto file = [&](const std::string& name) {
    return "{\"name\":\"" + name + "\",\"size\":0," + sum + "}";
  };
  const auto with = [&](const std::string& files) {
    return "{\"format\":\"modx-manifest-1\",\"files\":" + files + "}";
  };
  struct {
    std::string text, code;
  } const cases[] = {
      {"", "bad_json"},
      {"{", "bad_json"},
      {"\xef\xbb\xbf{}", "bad_json"},
      {with("[]") + std::string(1, '\0'), "bad_json"},
      {with("[1e999]"), "bad_json"},
      {std::string(100'000, '['), "json_too_deep"},
      {"[]", "bad_manifest"},
      {"{}", "bad_manifest"},
      {"{\"format\":1,\"files\":[]}", "bad_manifest"},
      {"{\"format\":\"modx-manifest-2\",\"files\":[]}", "bad_manifest"},
      {"{\"format\":\"modx-manifest-1\"}", "bad_manifest"},
      {with("{}"), "bad_manifest"},
      {with("[1]"), "bad_manifest"},
      {with("[{}]"), "bad_manifest"},
      {with("[{\"name\":\"a\",\"size\":-1," + sum + "}]"), "bad_manifest"},
      {with("[{\"name\":\"a\",\"size\":0.5," + sum + "}]"), "bad_manifest"},
      {with("[{\"name\":1,\"size\":0," + sum + "}]"), "bad_manifest"},
      {with("[{\"name\":\"a\",\"size\":0,\"xxh128\":0}]"), "bad_manifest"},
      {with("[{\"name\":\"a\",\"size\":0,\"x\":0," + sum + "}]"), "bad_manifest"},
      {with("[" + file("../outside") + "]"), "bad_manifest"},
      {with("[" + file("/etc/passwd") + "]"), "bad_manifest"},
      {with("[" + file("manifest.json") + "]"), "bad_manifest"},
      {with("[" + file("a") + "," + file("a") + "]"), "bad_manifest"},
      {with("[{\"name\":\"a\",\"name\":\"b\",\"size\":0," + sum + "}]"), "duplicate_key"},
  };
  for (const auto& c : cases) {
    put(dir / "in" / "manifest.json", c.text);
    INFO(c.text.substr(0, 200));
    CHECK(code_of([&] { run.verify(); }) == c.code);
  }
  put(dir / "in" / "manifest.json", with("[" + file("a") + "]"));
  CHECK(run.verify().size() == 1);
  put(dir / "in" / "a", "");
  CHECK(run.verify().empty());
}

TEST_CASE("run_folder: a line that a killed run left half is cut off, whole ones stay", "[io]") {
  temp_folder dir;
  const std::string whole = "{\"step\":1}\n" + std::string(5000, ' ') + "1\n";
  struct {
    std::string before, after;
  } const cases[] = {{"", ""},
                     {whole, whole},
                     {whole + "{\"st", whole},
                     {whole + std::string(9000, 'x'), whole},
                     {"{\"half", ""},
                     {"\n", "\n"},
                     {std::string(4096, 'x') + "\n" + "y", std::string(4096, 'x') + "\n"}};
  for (const auto& c : cases) {
    put(dir / "log", c.before);
    jsonl_file log(dir / "log");
    log.append(2);
    log.append({{"text", "a\nb"}});
    CHECK(get(dir / "log") == c.after + "2\n{\"text\":\"a\\nb\"}\n");
  }
  fs::create_directory(dir / "d");
  CHECK(code_of([&] { jsonl_file(dir / "d"); }) == "open_failed");
  REQUIRE(::mkfifo((dir / "f").c_str(), 0600) == 0);
  CHECK(code_of([&] { jsonl_file(dir / "f"); }) == "not_regular_file");
  fs::create_symlink(dir / "log", dir / "link");
  CHECK(code_of([&] { jsonl_file(dir / "link"); }) == "open_failed");
}

TEST_CASE("run_folder: a full disk leaves a log of whole lines, and logging goes on after", "[io]") {
  temp_folder dir;
  jsonl_file log(dir / "log");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct ::rlimit was = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &was) == 0);
  const struct ::rlimit small = {1000, was.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string code;
  int lines = 0;
  while (code.empty() && lines < 1000) {
    code = code_of([&] { log.append({{"line", lines}}); });
    lines += code.empty();
  }
  ::setrlimit(RLIMIT_FSIZE, &was);
  std::signal(SIGXFSZ, old_handler);
  CHECK(code == "no_space");
  CHECK(lines > 50);
  log.append("after");
  const auto text = get(dir / "log");
  CHECK(std::count(text.begin(), text.end(), '\n') == lines + 1);
  CHECK(text.ends_with("}\n\"after\"\n"));
}

TEST_CASE("run_folder: a line is in the file when append returns, even if the process is killed then",
          "[io]") {
  temp_folder dir;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    run_folder run(dir.path());
    for (int i = 0; i < 100; ++i) run.append_jsonl("log", i);
    ::raise(SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const auto text = get(dir / "log");
  CHECK(std::count(text.begin(), text.end(), '\n') == 100);
}

TEST_CASE("run_folder: the manifest waits until its logs are on the disk", "[io]") {
  temp_folder dir;
  failing_calls os(0, 0);
  run_folder run(dir.path(), os);
  run.append_jsonl("a", 1);
  run.append_jsonl("b", 1);
  const auto before = os.count("fsync");
  run.manifest();
  CHECK(os.count("fsync") == before + 4);  // two logs, the manifest, its folder
}

TEST_CASE("run_folder: any failing call while writing the manifest keeps the old one", "[io]") {
  temp_folder dir;
  run_folder(dir.path()).write_text("a", "1");
  run_folder(dir.path()).manifest();
  const auto old = get(dir / "manifest.json");
  put(dir / "b", "2");
  const auto before = open_descriptors();
  for (int n = 1, done = 0; !done; ++n) {
    put(dir / "manifest.json", old);
    failing_calls os(n, EIO);
    const auto code = code_of([&] { run_folder(dir.path(), os).manifest(); });
    done = os.failed().empty();
    INFO(os.failed());
    const bool replaced = get(dir / "manifest.json") != old;
    if (code.empty()) CHECK(replaced);
    if (replaced && !code.empty()) CHECK((os.failed() == "fsync" && os.count("rename") == 1));
    CHECK(open_descriptors() == before);
    CHECK(names_in(dir.path()).size() == 3);
  }
}
