// step_decomposer, run as its users run it, on tiny sizes: files, determinism, resume, questions to a trained
// run, errors.
#include <step_decomposer/options.hpp>

#include <arithmetic/files.hpp>
#include <set>

#include "io/program.hpp"
#include "text/small_qwen3.hpp"

using namespace modx::test;
using ojson = nlohmann::ordered_json;

namespace {

arguments small(const fs::path& folder, const arguments& more = {}) {
  arguments all{"--save-dir", folder.string(), "--quiet", "--val-ratio", "0.2", "--test-ratio", "0.2"};
  for (const auto& [name, value] : std::vector<std::pair<std::string, int>>{{"programs", 150},
                                                                            {"width", 16},
                                                                            {"blocks", 1},
                                                                            {"max-epochs", 3},
                                                                            {"max-tokens", 60},
                                                                            {"questions", 200},
                                                                            {"base-width", 16},
                                                                            {"base-blocks", 1},
                                                                            {"max-epochs-backbone", 2},
                                                                            {"max-epochs-base", 2},
                                                                            {"max-epochs-expert", 3},
                                                                            {"max-epochs-router", 3}})
    all.push_back("--" + name), all.push_back(std::to_string(value));
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
/// metrics.json without what a clock says.
ojson results(const fs::path& folder) {
  auto j = ojson::parse(get(folder / "metrics.json"));
  j.erase("timing"), j.erase("wall_seconds");
  return j;
}
std::string weights(const fs::path& folder) {
  std::string all;
  for (const char* stage : {"language", "backbone", "base", "expert_0", "expert_1", "router", "moe_router"}) {
    const modx::io::safetensors_file file(folder / (std::string(stage) + ".safetensors"));
    for (const auto& t : file.list())
      all.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  }
  return all;
}

}  // namespace

TEST_CASE("a run leaves its table, its files and a report; the bits don't depend on the threads") {
  const temp_folder a, b;
  const auto o = run(small(a.path(), {"--threads", "1"}));
  INFO(o.err);
  REQUIRE(o.exit == 0);
  for (const char* part : {"programs exact", "answers right, red", "macro-F1, moe", "one-step questions",
                           "steps that are training questions", "2 steps", "4 steps"})
    CHECK(contains(o.out, part));
  for (const char* name : {"config.json", "metrics.json", "log.jsonl", "report.html", "manifest.json"})
    CHECK(fs::exists(a / name));
  const auto m = results(a.path());
  CHECK(m["answers_of_right_programs"]["exact"]["all"]["acc"] == 1);
  CHECK(m["programs"]["all"]["count"].get<int>() >= 10);
  for (const auto& c : m["checks"]) CHECK(c["ok"] == true);
  const auto page = get(a / "report.html");
  for (const char* part : {"Macro-F1", "All fixed", "no expression is in two splits", "language"})
    CHECK(contains(page, part));
  const auto row = page.find("Exact arithmetic</th>");
  REQUIRE(row != std::string::npos);
  CHECK_FALSE(contains(page.substr(row, page.find("</tr>", row) - row), "<strong>"));  // a measure, not one of those measured
  CHECK(contains(run(small(a.path())).err, "an earlier run's config.json"));
  REQUIRE(run(small(b.path(), {"--threads", "3"})).exit == 0);
  CHECK(results(b.path()) == m);
  CHECK(weights(b.path()) == weights(a.path()));
  REQUIRE(run({"--resume", "--quiet", "--save-dir", b.path().string()}).exit == 0);
  CHECK(results(b.path()) == m);
}

TEST_CASE("stopped by a signal or killed in any stage, a resumed run ends with the same bits") {
  const temp_folder whole, folder;
  REQUIRE(run(small(whole.path())).exit == 0);
  auto options = small(folder.path(), {"--checkpoint-seconds", "0"});
  std::set<std::string> stages;
  for (std::size_t stop = 1; stop < 40; stop += 3) {  // after so many lines of the log
    modx::test::program p(arguments{MODX_PROGRAM} + options);
    const auto lines = [&] {
      const auto log = get(folder / "log.jsonl");
      return std::size_t(std::count(log.begin(), log.end(), '\n'));
    };
    p.until([&] { return lines() >= stop || fs::exists(folder / "metrics.json"); });
    p.send(stop % 2 ? SIGTERM : SIGKILL);
    const auto o = p.wait();
    INFO(o.err);
    CHECK((o.exit == 0 || o.signal == SIGKILL));
    options = {"--resume", "--quiet", "--checkpoint-seconds", "0", "--save-dir", folder.path().string()};
    if (fs::exists(folder / "metrics.json")) break;
  }
  const auto last = run(options);
  INFO(last.err);
  REQUIRE(last.exit == 0);
  CHECK(results(folder.path()) == results(whole.path()));
  CHECK(weights(folder.path()) == weights(whole.path()));
}

TEST_CASE("a trained run answers an expression, and one a line") {
  const temp_folder folder;
  const arguments in{"--save-dir", folder.path().string()};
  CHECK(
      contains(run({"--ask", "2 plus 3", "--save-dir", folder.path().string()}).err, "no config.json there"));
  REQUIRE(run(small(folder.path())).exit == 0);
  const auto ask = [&](const arguments& more, const std::string& input = "") {
    auto all = in;
    all.insert(all.end(), more.begin(), more.end());
    return run(all, input);
  };
  const auto one = ask({"--ask", "12 plus 7 minus 3"});
  INFO(one.out << one.err);
  REQUIRE(one.exit == 0);
  CHECK((contains(one.out, "answer: ") || contains(one.out, "no program: ")));
  const auto lines = ask({"--ask"}, "12 plus 7 minus 3\n\n12 + 7 - 3\ntwelve\n5\n6 times 7\n");
  CHECK(lines.out == one.out + one.out);
  CHECK(lines.exit == 1);
  for (const char* part : {"a whole number", "an operation", "plus and minus only"})
    CHECK(contains(lines.err, part));
  fs::remove(folder / "metrics.json");
  CHECK(contains(ask({"--ask", "2 plus 3"}).err, "a finished run"));
}

TEST_CASE("programs come from a file in the published form, and a backbone from a Qwen3 folder") {
  const temp_folder folder;
  put(folder / "programs.jsonl",
      arithmetic::file_text(arithmetic::schema::programs, arithmetic::chains(120, 5)));
  const auto data = (folder / "programs.jsonl").string();
  std::vector<arithmetic::expression> wide;  // values on the way beyond 2 to 100
  for (int i = 0; i < 100; ++i)
    wide.push_back({{90, 20 + i % 50, 30 + i}, {arithmetic::operation::add, arithmetic::operation::sub}});
  put(folder / "wide.jsonl",
      arithmetic::file_text(arithmetic::schema::programs, std::vector(wide.begin(), wide.begin() + 60)));
  const auto w = run(small(folder / "w", {"--data", (folder / "wide.jsonl").string(), "--val-ratio", "0.3",
                                          "--test-ratio", "0.3"}));
  CHECK(w.err == "");
  CHECK(w.exit == 0);
  const auto o = run(small(folder / "a", {"--data", data}));
  INFO(o.err);
  REQUIRE(o.exit == 0);
  CHECK(results(folder / "a")["checks"][0]["detail"] != "");
  put(folder / "bad.jsonl", get(folder / "programs.jsonl") + "{\"expr\": \"2 plus\"}\n");
  CHECK(contains(run(small(folder / "b", {"--data", (folder / "bad.jsonl").string()})).err, "line 121"));
  put(folder / "few.jsonl", arithmetic::file_text(arithmetic::schema::programs, arithmetic::chains(5, 5)));
  CHECK(contains(run(small(folder / "b", {"--data", (folder / "few.jsonl").string()})).err, "at least"));
  put(folder / "times.jsonl",
      arithmetic::file_text(arithmetic::schema::programs, {{{2, 3}, {arithmetic::operation::mul}}}));
  CHECK(contains(run(small(folder / "b", {"--data", (folder / "times.jsonl").string()})).err,
                 "plus and minus only"));

  const temp_folder model;
  write_small_qwen3(model.path());
  const auto with_model = [&](const fs::path& to, const arguments& more) {
    auto all = small(to, {"--backbone", model.path().string(), "--programs", "60", "--max-tokens", "20"});
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const auto q = with_model(folder / "q", {"--trained-blocks", "1", "--max-epochs", "1"});
  INFO(q.err);
  REQUIRE(q.exit == 0);
  CHECK(contains(q.out, "unfinished"));
  const modx::io::safetensors_file trained(folder / "q" / "language.safetensors");
  for (const auto& t : trained.list()) CHECK((t.name == "norm.weight" || t.name.starts_with("blocks.1.")));
  CHECK(run({"--ask", "2 plus 3", "--save-dir", (folder / "q").string()}).exit == 0);
  CHECK(contains(with_model(folder / "r", {"--trained-blocks", "3"}).err, "at most 2 trained blocks"));
  CHECK(contains(run(small(folder / "r", {"--backbone", "/no/such"})).err, "/no/such"));
}

TEST_CASE("wrong options and foreign folders are refused in a sentence") {
  const temp_folder folder;
  const auto one = [&](int exit, const arguments& more, const std::string& words) {
    auto all = more;
    all.insert(all.end(), {"--save-dir", (folder / "run").string()});
    const auto o = run(all);
    INFO(o.err << o.out);
    CHECK(o.exit == exit);
    CHECK(contains(o.err + o.out, words));
    CHECK_FALSE(fs::exists(folder / "run"));
  };
  one(2, {"--programs", "-1"}, "--programs");
  one(2, {"--lr", "nan"}, "--lr");
  one(2, {"--frobnicate"}, "--frobnicate");
  one(2, {"--val-ratio", "0.6", "--test-ratio", "0.6"}, "--val-ratio and --test-ratio");
  one(1, {"--resume"}, "no config.json there");
  one(1, {"--data", "/no/such.jsonl"}, "/no/such.jsonl");
  one(0, {"--help"}, "--ask TEXT");
  REQUIRE(run(small(folder / "run")).exit == 0);
  CHECK(contains(run({"--resume", "--seed", "7", "--save-dir", (folder / "run").string()}).err,
                 "--resume with another --seed"));
  auto config = ojson::parse(get(folder / "run" / "config.json"));
  config["options"]["blocks"] = 0;
  put(folder / "run" / "config.json", config.dump());
  CHECK(contains(run({"--resume", "--save-dir", (folder / "run").string()}).err,
                 "a value that --blocks may have"));
  config["options"]["blocks"] = 1, config["options"]["val-ratio"] = 0.85;
  put(folder / "run" / "config.json", config.dump());
  CHECK(contains(run({"--resume", "--save-dir", (folder / "run").string()}).err, "options that go together"));
  put(folder / "run" / "config.json", "{\"program\": \"moe_lm\"}");
  CHECK(contains(run({"--resume", "--save-dir", (folder / "run").string()}).err, "a run of step_decomposer"));
}
