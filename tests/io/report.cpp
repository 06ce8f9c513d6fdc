#include <modx/io/report.hpp>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <modx/io/file.hpp>
#include <set>

#include "../../examples/red/csv.hpp"
#include "../../examples/red/report.hpp"
#include "../../examples/red_mnist/task.hpp"
#include "catch.hpp"
#include "fake_run.hpp"

using modx::io::cell;
using modx::io::report;

namespace {

/// The report of such a run of red_mnist.
report made_of(const fake::json& config, const fake::json& metrics, const std::vector<nlohmann::json>& log) {
  return red::make_report(red_mnist::about(5), config, metrics, log);
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

/// What a parser of our own pages finds wrong: "" or the first tag out of place.  Script and style bodies are
/// skipped.
std::string unbalanced(const std::string& html) {
  const std::set<std::string> empty{"meta", "br", "input"};
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != html.npos; at = html.find('<', at)) {
    const bool closing = html.compare(at, 2, "</") == 0;
    const std::size_t from = at + (closing ? 2 : 1), end = html.find_first_of(" >\n", from);
    if (end == html.npos) return "a tag that doesn't end";
    const std::string name = html.substr(from, end - from);
    bool quoted = false;
    std::size_t close = end;
    for (; close < html.size() && (quoted || html[close] != '>'); ++close)
      quoted = quoted != (html[close] == '"');
    at = close;
    if (name == "!DOCTYPE" || empty.count(name)) continue;
    if (!closing) open.push_back(name);
    if (closing && (open.empty() || open.back() != name)) return "</" + name + ">";
    if (closing) open.pop_back();
    if (!closing && (name == "script" || name == "style")) at = html.find("</" + name, at);
    if (at == html.npos) return name + " without an end";
  }
  return open.empty() ? "" : "<" + open.back() + ">";
}

/// A folder of its own, removed at the end.
struct temporary_folder {
  temporary_folder() {
    static std::atomic<int> next{0};
    path = std::filesystem::temp_directory_path() /
           ("modx-report-" + std::to_string(::getpid()) + "-" + std::to_string(next++));
    std::filesystem::create_directories(path);
  }
  ~temporary_folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::string evil = "<img src=x onerror=alert(1)>&\"'</script><script>alert(2)</script>";

// [report]
modx::io::report example_report() {
  using namespace modx::io;
  report page("Two routers", "seeds 1, 2, 3");
  page.check("gates add up to 1", true, "largest error 2e-7");

  const auto soft = modx::analysis::summarize({0.91, 0.93, 0.92}),
             top = modx::analysis::summarize({0.94, 0.95, 0.93});
  page.section("Results");
  page.table({.columns = {{"Router"}, {"Parameters"}, {"Accuracy", best::highest}},
              .rows = {{.cells = {"softmax", cell::count(645), cell::of(soft)}},
                       {.cells = {"top 2", cell::count(645), cell::of(top)}}},
              .caption = "Test set, mean ± sd over 3 seeds."});
  page.charts({chart::grouped_bars("", {"test"}, "accuracy",
                                   {{.name = "softmax", .mean = {soft.mean}, .sd = {soft.sd}, .colour = 1},
                                    {.name = "top 2", .mean = {top.mean}, .sd = {top.sd}, .colour = 2}})},
              "Accuracy, whiskers ± sd.");
  return page;
}
// [/report]

}  // namespace

TEST_CASE("io/report: text and JSON can't leave their place") {
  CHECK(modx::io::escape_html("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#39;");
  CHECK(modx::io::escape_html(std::string_view("\x1b\0x", 3)) == "\xEF\xBF\xBD\xEF\xBF\xBDx");
  const nlohmann::json value{{evil, "\xff \xE2\x80\xA8 ä <!--"}};
  const std::string safe = modx::io::script_json(value);
  CHECK(safe.find_first_of("<>&") == safe.npos);
  for (char c : safe) CHECK((c >= 32 && c < 127));
  CHECK(nlohmann::json::parse(safe).begin().key() == evil);
  CHECK(modx::io::script_text("a='</SCRIPT>';b=/<!--/;c<d") == "a='<\\/SCRIPT>';b=/<\\!--/;c<d");
}

TEST_CASE("io/report: numbers") {
  CHECK(modx::io::show_number(0.98765) == "0.9877");
  CHECK(modx::io::show_number(-2.5, 1) == "-2.5");
  CHECK(modx::io::show_number(1.5e9) == "1.500e+09");
  CHECK(modx::io::show_number(NAN) == "nan");
  CHECK(modx::io::show_number(-INFINITY) == "-inf");
  CHECK(modx::io::show_number(1e300, 400) == "1.000e+300");
  CHECK(modx::io::show_count(428738) == "428,738");
  CHECK(modx::io::show_count(-1234567) == "-1,234,567");
  CHECK(modx::io::show_count(-428) == "-428");
  CHECK(modx::io::show_count(1000) == "1,000");
}

TEST_CASE("io/report: tables mark the best of a column and align numbers") {
  using modx::io::best;
  const modx::analysis::summary one{0.5, 0, {0.5}}, three{0.25, 0.1, {0.15, 0.25, 0.35}};
  modx::io::table t{.columns = {{"name"}, {"up", best::highest}, {"down", best::lowest}, {"none"}},
                    .caption = "c<"};
  t.rows = {
      {.cells = {"a", cell::of(three), cell::number(2, 0), cell::count(9)}},
      {.cells = {"b", cell::of(one), cell::number(1, 0), cell::count(8)}},
      {.cells = {"oracle", cell::number(0.9, 4), cell::number(0, 0), cell::missing()}, .competes = false}};
  const std::string html = modx::io::html_table(t);
  CHECK(unbalanced(html) == "");
  CHECK(contains(html, "<td class=\"num\">0.2500 <span class=\"sd\">± 0.1000</span></td>"));
  CHECK(contains(html,
                 "<td class=\"num\"><strong>0.5000</strong></td><td class=\"num\"><strong>1</strong></td>"));
  CHECK(count(html, "<strong>") == 2);
  CHECK(contains(html, "<th scope=\"row\">a</th>"));
  CHECK(contains(html, "<th scope=\"col\" class=\"num\">up</th>"));
  CHECK(contains(html, "c&lt;"));
  modx::io::table equals{.columns = {{"name"}, {"up", best::highest}}, .caption = {}};
  equals.rows = {{.cells = {"a", cell::number(0, 1)}}, {.cells = {"b", cell::number(0, 1)}}, {.cells = {"c", cell::missing()}}};
  CHECK(count(modx::io::html_table(equals), "<strong>") == 0);
  t.rows.push_back({.cells = {"short"}});
  CHECK_THROWS_WITH(modx::io::html_table(t), "modx: io::table: expected 4 cells in a row, found 1");
}

TEST_CASE("io/report: chart options") {
  using namespace modx::io::chart;
  const auto bars =
      grouped_bars("t", {"g", "h"}, "y", {{.name = "a", .mean = {1, 2}, .sd = {0.5, 0}, .colour = 3}});
  CHECK(bars["series"].size() == 2);
  CHECK(bars["series"][0]["data"][0] == nlohmann::json{{"value", 1.0}, {"sd", 0.5}});
  CHECK(bars["series"][1]["id"] == "whisker1");
  CHECK(bars["series"][1]["data"][0] == nlohmann::json{0.0, 0.5, 1.5});
  const auto curve = lines("t", "x", "y",
                           {{.name = "a", .mean = {1, NAN}, .sd = {0.5, 0}, .x = {0.25, 4}},
                            {.name = "a", .mean = {1}, .x = {2}, .thin = true}});
  CHECK(curve["series"].size() == 3);
  CHECK(curve["series"][1]["id"] == "band1");
  CHECK(curve["series"][1]["data"][0] == nlohmann::json{0.25, 0.5, 1.5});
  CHECK(curve["series"][2]["id"] == "thin2");
  CHECK(curve["legend"]["data"] == nlohmann::json{"a"});
  CHECK(contains(modx::io::script_json(curve), "[4.0,null]"));
  const auto map = heat_map("t", {"r0", "r1"}, {"c0", "c1", "c2"}, "y", "x", {{1, 2, 3}, {4, 5, 6}}, 0, 6);
  CHECK(map["series"].size() == 1);
  CHECK(map["series"][0]["data"].size() == 6);
  CHECK(map["series"][0]["data"][5]["value"] == nlohmann::json{2, 1, 6.0});
  CHECK_THROWS_AS(grouped_bars("", {"g"}, "", {{.name = "a", .mean = {1, 2}}}), modx::error);
  CHECK_THROWS_AS(lines("", "", "", {{.name = "a", .mean = {1, 2}, .x = {1}}}), modx::error);
  CHECK_THROWS_AS(lines("", "", "", {{.name = "a", .mean = {1, 2}, .sd = {1}, .x = {1, 2}}}), modx::error);
  const auto drawn = graph("t", {"a", "b"}, {{9, 0.25}, {0, 9}});  // a hears b; nobody is drawn to hear oneself
  CHECK(drawn["series"][0]["data"].size() == 2);
  CHECK(drawn["series"][0]["links"] == nlohmann::json::array({{{"source", 1}, {"target", 0}, {"value", 0.25}}}));
  CHECK_THROWS_AS(graph("", {"a", "b"}, {{1, 2}}), modx::error);
  CHECK_THROWS_AS(graph("", {"a"}, {{1, 2}}), modx::error);
  CHECK_THROWS_AS(heat_map("", {"r"}, {"c"}, "", "", {{1, 2}}, 0, 1), modx::error);
  CHECK_THROWS_AS(heat_map("", {"r"}, {"c"}, "", "", {}, 0, 1), modx::error);
}

TEST_CASE("io/report: the page with and without the chart script") {
  report r(evil, evil);
  r.check(evil, true, evil);
  r.check("second", false);
  r.section(evil);
  r.paragraph(evil);
  r.bullets({evil, evil});
  r.code(evil);
  modx::io::table t{.columns = {{evil}}, .caption = evil};
  t.rows.push_back({.cells = {evil}});
  r.table(t);
  r.folded(evil, {t});
  r.charts({modx::io::chart::lines(evil, evil, evil, {{.name = evil, .mean = {1}, .x = {1}}})}, evil);
  r.section("charts alone");
  r.charts({modx::io::chart::lines("", "", "", {})}, "");
  for (const std::string script : {"", "echarts='</script>'"}) {
    const std::string html = r.html(script);
    CHECK(unbalanced(html) == "");
    CHECK_FALSE(contains(html, "<img"));
    CHECK_FALSE(contains(html, "alert(2)<"));
    CHECK(contains(html, "1 of 2 checks pass"));
    CHECK(html.find("✗ fail") < html.find("<h2 id=\"s1\""));
    const bool draws = !script.empty();
    CHECK(contains(html, "echarts='<\\/script>'") == draws);
    CHECK(contains(html, "class=\"chart\"") == draws);
    CHECK(contains(html, "charts alone") == draws);
    CHECK(contains(html, "npm install echarts") != draws);
    CHECK(contains(html, "<details open>") != draws);
  }
  CHECK_FALSE(contains(report("no charts").html(), "npm install"));
}

TEST_CASE("io/report: the example of the documentation") {
  const std::string html = example_report().html("var echarts;");
  CHECK(unbalanced(html) == "");
  CHECK(contains(html, "<strong>0.9400</strong> <span class=\"sd\">± 0.0100</span>"));
  CHECK(count(html, "class=\"chart\"") == 1);
}

TEST_CASE("io/report: writing is all or nothing, an absent script is no error") {
  const temporary_folder folder;
  report r("t");
  r.charts({modx::io::chart::lines("", "", "", {})}, "");
  const auto file = folder.path / "report.html";
  r.write(file);
  CHECK(slurp(file) == r.html());
  r.write(file, folder.path / "absent.js");
  CHECK(slurp(file) == r.html());
  r.write(file, folder.path);
  CHECK(slurp(file) == r.html());
  std::ofstream(folder.path / "e.js") << "var echarts;";
  r.write(file, folder.path / "e.js");
  CHECK(slurp(file) == r.html("var echarts;"));
  CHECK_THROWS_AS(r.write(folder.path / "no" / "report.html"), modx::error);
}

TEST_CASE("red/report: every section, every mode, no load from the network") {
  const auto metrics = fake::metrics();
  for (const std::string script : {"", "var echarts;"}) {
    const std::string html = made_of(fake::config(), metrics, fake::log()).html(script);
    CHECK(unbalanced(html) == "");
    CHECK_FALSE(contains(html, "http:"));
    CHECK_FALSE(contains(html, "https:"));
    CHECK_FALSE(contains(html, " src="));
    CHECK_FALSE(contains(html, "<link"));
    for (const auto& [name, mode] : metrics["modes"].items())
      CHECK(contains(html, "<th scope=\"row\">" + mode["title"].get<std::string>() + "</th>"));
    std::size_t last = 0;
    for (const std::string title : {"Checks", "Results", "Accuracy by domain", "Training", "Routing",
                                    "Routing noise", "Recomposition", "Timing", "Configuration", "Notes"}) {
      if (script.empty() && title == "Accuracy by domain") continue;
      const auto at = html.find(">" + title + "</h2>");
      CHECK(at != html.npos);
      CHECK(at > last);
      last = at;
    }
    CHECK(contains(html, "all_fixed is unstable"));
    CHECK(contains(html, "Routing noise and recomposition are modx&#39;s own experiments"));
  }
}

TEST_CASE("red/report: a section without data is left out") {
  const auto page = [](const fake::json& config, const fake::json& metrics,
                       const std::vector<nlohmann::json>& log) {
    return made_of(config, metrics, log).html("var echarts;");
  };
  const auto has = [](const std::string& html, const std::string& title) {
    return contains(html, ">" + title + "</h2>");
  };
  for (const auto& [key, title] : {std::pair<std::string, std::string>{"noise", "Routing noise"},
                                   {"recomposition", "Recomposition"},
                                   {"timing", "Timing"},
                                   {"router", "Routing"},
                                   {"checks", "Checks"},
                                   {"modes", "Results"}}) {
    auto m = fake::metrics();
    CHECK(has(page({}, m, {}), title));
    m.erase(key);
    CHECK_FALSE(has(page({}, m, {}), title));
  }
  auto hollow = fake::metrics();
  hollow["noise"] = hollow["recomposition"]["rows"] = fake::json::array();
  hollow["timing"] = hollow["router"] = hollow["modes"] = fake::json::object();
  for (const char* title : {"Routing noise", "Recomposition", "Timing", "Routing", "Results"})
    CHECK_FALSE(has(page({}, hollow, {}), title));
  CHECK_FALSE(has(page({}, fake::metrics(), {}), "Training"));
  CHECK_FALSE(has(page({}, fake::metrics(), {{{"event", "start"}}}), "Training"));
  CHECK_FALSE(has(page({}, fake::metrics(), {}), "Configuration"));
  auto m = fake::metrics();
  m["modes"].erase("all_fixed");
  CHECK_FALSE(contains(page({}, m, {}), "all_fixed"));
  m.erase("noise");
  m.erase("recomposition");
  CHECK_FALSE(contains(page({}, m, {}), "own experiments"));
  for (auto& [name, mode] : m["modes"].items()) mode["test"].erase("per_domain_acc");
  CHECK_FALSE(has(page({}, m, {}), "Accuracy by domain"));
  CHECK(unbalanced(page({}, {{"format", 1}, {"seeds", {1}}, {"domains", fake::json::array()}}, {})) == "");
}

TEST_CASE("red/report: the best competitor is marked, the oracle isn't, one seed has no sd") {
  auto m = fake::metrics();
  const std::string html = made_of({}, m, {}).html();
  const auto row = [&](const std::string& text, const std::string& title) {
    const auto from = text.find("<th scope=\"row\">" + title + "</th>");
    return text.substr(from, text.find("</tr>", from) - from);
  };
  CHECK(contains(row(html, "RED"), "<strong>"));
  CHECK(contains(row(html, "RED"), "428,738"));
  CHECK_FALSE(contains(row(html, "Oracle"), "<strong>"));
  m["seeds"] = {42};
  for (auto& [name, mode] : m["modes"].items())
    mode["test"]["acc"] = {{"mean", 0.5}, {"sd", 0}, {"values", {0.5}}};
  const std::string single = made_of({}, m, {}).html();
  CHECK(contains(single, "one seed: there is no standard deviation"));
  CHECK(contains(row(single, "Base"), "0.5000</td>"));  // none of equals is the best
}

TEST_CASE("red/report: hostile names stay text") {
  fake::json m = fake::metrics(), hostile = m;
  hostile["modes"] = fake::json::object();
  for (auto& [name, mode] : m["modes"].items()) {
    mode["title"] = name + evil;
    mode["note"] = evil;
    hostile["modes"][name + evil] = mode;
  }
  hostile["profile"] = hostile["domains"][0] = hostile["noise"][0]["kind"] = hostile["noise"][0]["label"] =
      evil;
  hostile["noise"][0]["modes"][evil] = hostile["noise"][0]["modes"]["red"];
  hostile["router"]["routing_matrix"][evil] = hostile["router"]["routing_matrix"]["red"];
  hostile["recomposition"]["rows"][0]["name"] = hostile["checks"][0]["name"] =
      hostile["checks"][0]["detail"] = evil;
  hostile["timing"][evil] = hostile["timing"]["base"];
  auto log = fake::log();
  log[1]["stage"] = evil;
  const fake::json config{{evil, {evil, {{evil, evil}}}}, {"bytes", "\xff\xfe"}};
  const std::string html = made_of(config, hostile, log).html("var echarts;");
  CHECK(unbalanced(html) == "");
  CHECK_FALSE(contains(html, "<img"));
  CHECK(count(html, "<script>") == 2);  // the chart library and the page's own
}

TEST_CASE("red/report: the order of the modes") {
  fake::json m = fake::metrics();
  const auto order = [](const std::string& html) { return html.find(">RED<") > html.find(">MoE, joint<"); };
  CHECK(order(made_of({}, m, {}).html()));
  const nlohmann::json sorted = nlohmann::json::parse(m.dump());  // forgets the order
  CHECK(made_of({}, sorted, {}).html().find(">Base<") <
        made_of({}, sorted, {}).html().find(">All fixed<"));
  fake::json red_first;
  red_first["red"] = m["modes"]["red"];
  for (const auto& [name, mode] : m["modes"].items()) red_first[name] = mode;
  m["modes"] = red_first;
  CHECK_FALSE(order(made_of({}, m, {}).html()));
}

TEST_CASE("red/report: a wrong metrics.json names the entry") {
  fake::json good = fake::metrics();
  for (auto& [name, mode] : good["modes"].items())
    for (const char* unread :
         {"train", "confusion", "per_class_precision", "per_class_recall", "per_class_f1"})
      mode.erase(unread), mode["val"].erase(unread), mode["test"].erase(unread);
  const auto message = [&](auto change) {
    fake::json m = good;
    change(m);
    try {
      made_of({}, m, {});
    } catch (const modx::error& e) {
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(message([](auto&) {}) == "none");
  CHECK(message([](auto& m) { m["format"] = 2; }) == "modx: metrics.json.format: expected 1, found 2");
  CHECK(message([](auto& m) { m.erase("domains"); }) ==
        "modx: metrics.json: expected an entry \"domains\", found none");
  CHECK(message([](auto& m) { m["modes"]["red"]["test"]["acc"] = "high"; }) ==
        "modx: metrics.json.modes.red.test.acc: expected {mean, sd, values}, found string");
  CHECK(message([](auto& m) { m["modes"]["red"]["test"]["per_domain_acc"].erase(0); }) ==
        "modx: metrics.json.modes.red.test.per_domain_acc: expected 5 entries, found 4");
  // Every entry in turn made null, a text, a list: an error or a page, never anything else.
  const auto flat = good.flatten();
  int n = 0, failed = 0;
  for (const auto& [path, ignored] : flat.items()) {
    if (++n % 23 != 0) continue;
    for (const fake::json& value : {fake::json(), fake::json("x"), fake::json::array({1, "y"})})
      failed += message([&, p = path](auto& m) { m[fake::json::json_pointer(p)] = value; }) != "none";
  }
  CHECK(failed > 20);
  for (const fake::json& whole : {fake::json(), fake::json(3), fake::json::array(), fake::json("x")})
    CHECK_THROWS_AS(made_of({}, whole, {}), modx::error);
  CHECK_THROWS_AS(made_of({}, fake::metrics(), {{{"stage", 3}, {"epoch", 1}}}), modx::error);
  CHECK_THROWS_AS(made_of({}, fake::metrics(), {nlohmann::json(3)}), modx::error);
}

TEST_CASE("red/report: the mean curve ends where the first seed stopped") {
  std::vector<nlohmann::json> log;
  for (int seed : {1, 2})
    for (int epoch = 1; epoch <= 5 - seed; ++epoch)
      log.push_back({{"seed", seed}, {"stage", "s"}, {"epoch", epoch}, {"loss", 10.0 * seed + epoch}});
  const auto stages = red::report_part::stages_of(log);
  REQUIRE(stages.size() == 1);
  std::vector<modx::io::chart::series> curves;
  red::report_part::add_curves(curves, stages[0].second, "loss", "training", 1, false);
  REQUIRE(curves.size() == 3);
  CHECK(curves[1].mean == std::vector<double>{21, 22, 23});
  CHECK(curves[2].mean == std::vector<double>{16, 17, 18});
}

TEST_CASE("red/csv: one line a figure, quoted, with one column a seed") {
  auto m = fake::metrics();
  const std::string csv = red::metrics_csv(m);
  CHECK(csv.starts_with("mode,split,metric,mean,sd,seed 42,seed 43,seed 44\r\n"));
  CHECK(contains(csv, "\r\nred,,parameters,428738,,,,\r\n"));
  CHECK(contains(csv, "\r\nred,test,per_domain_acc[8-9],"));
  CHECK(contains(csv, "\r\nred,test,per_class_f1[9],"));
  CHECK(contains(csv, "\r\nred,test,gate[0-1][expert 0],0.93,,,,\r\n"));
  CHECK(contains(csv, "\r\nuniform,test,noise gaussian=0.5,"));
  CHECK(contains(csv, "\r\nremove expert 0 (digits 0-1),test,recomposition acc,"));
  CHECK(contains(csv, "\r\nbase,,seconds,"));
  std::size_t commas = 0;
  std::istringstream all(csv);
  for (std::string line; std::getline(all, line);) {
    const auto n = static_cast<std::size_t>(std::count(line.begin(), line.end(), ','));
    if (commas == 0) commas = n;
    CHECK(n == commas);
  }
  m["modes"]["red"]["test"]["acc"] = {{"mean", 0.1}, {"sd", 0.25}, {"values", {0.5, nullptr, 1e-7}}};
  m["timing"]["a,\"b\"\nc"] = m["timing"]["base"];
  const std::string odd = red::metrics_csv(m);
  CHECK(contains(odd, "\r\nred,test,acc,0.1,0.25,0.5,,1e-07\r\n"));
  CHECK(contains(odd, "\r\n\"a,\"\"b\"\"\nc\",,seconds,"));
  m["seeds"].push_back(45);
  CHECK_THROWS_WITH(red::metrics_csv(m),
                    "modx: metrics.json.modes.base.train.acc.values: expected 4 (one a seed), found 3");
  const temporary_folder folder;
  red::write_csv(folder.path, fake::metrics());
  CHECK(slurp(folder.path / "metrics.csv") == csv);
  red::write_report(red_mnist::about(5), folder.path, fake::config(), fake::metrics(), fake::log(), "");
  CHECK(unbalanced(slurp(folder.path / "report.html")) == "");
}
