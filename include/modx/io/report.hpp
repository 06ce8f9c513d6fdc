// One self-contained HTML page: the checks first, then sections of text, tables and charts; opens without a
// network.
#pragma once
#include <algorithm>
#include <filesystem>
#include <modx/io/file.hpp>
#include <modx/io/report/chart.hpp>
#include <modx/io/report/script.hpp>
#include <modx/io/report/style.hpp>
#include <modx/io/report/table.hpp>
#include <modx/io/report/text.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace modx::io {

/// Builds a report piece by piece; every text is escaped, so names from files are safe anywhere.
class report {
 public:
  explicit report(std::string title, std::string under = {})
      : title_(std::move(title)), under_(std::move(under)) {}

  /// Something that must hold; all checks stand together at the top of the page.
  void check(const std::string& name, bool ok, const std::string& detail = {}) {
    passed_ += ok, ++checks_;
    check_list_ += std::string(ok ? "<li class=\"pass\"><b>✓ pass</b>" : "<li class=\"fail\"><b>✗ fail</b>") +
                   escape_html(name);
    if (!detail.empty()) check_list_ += " <span class=\"detail\">" + escape_html(detail) + "</span>";
    check_list_ += "</li>\n";
  }

  /// What is added from here on stands under this heading.
  void section(std::string title) { sections_.push_back({std::move(title), {}}); }
  void paragraph(std::string_view text) { add("<p>" + escape_html(text) + "</p>\n"); }
  void bullets(const std::vector<std::string>& items) {
    std::string html = "<ul>\n";
    for (const std::string& i : items) html += "<li>" + escape_html(i) + "</li>\n";
    if (!items.empty()) add(html + "</ul>\n");
  }
  void code(std::string_view text) { add("<pre>" + escape_html(text) + "</pre>\n"); }
  /// Throws modx::error where a row has not one cell a column.
  void table(const io::table& t) { add(html_table(t)); }
  /// Tables that a click unfolds, as do printing and a page without charts; throws as table() does.
  void folded(const std::string& summary, const std::vector<io::table>& tables) {
    std::string html = "<summary>" + escape_html(summary) + "</summary>\n";
    for (const io::table& t : tables) html += html_table(t);
    if (!tables.empty()) add(html + "</details>\n", kind::folded);
  }
  /// ECharts options (io::chart) with one caption: `height` CSS pixels each, up to `across` (1 to 4) in a
  /// row.
  void charts(const std::vector<nlohmann::json>& options, const std::string& caption, int height = 320,
              int across = 1) {
    std::string html = "<figure><div class=\"panels across-" + std::to_string(across) + "\">\n";
    for (const nlohmann::json& o : options)
      html += "<div><div class=\"chart\" role=\"img\" aria-label=\"" + escape_html(caption) +
              "\" style=\"height:" + std::to_string(height) +
              "px\"></div><script type=\"application/json\">" + script_json(o) + "</script></div>\n";
    if (!options.empty())
      add(html + "</div><figcaption>" + escape_html(caption) + "</figcaption></figure>\n", kind::chart);
  }

  /// The page with the ECharts script inlined; without one it has everything but the charts, and says so.
  std::string html(std::string_view echarts = {}) const {
    const bool draws = !echarts.empty();
    const auto left_out = [&](const piece& p) { return p.is == kind::chart && !draws; };
    std::string nav, body;
    bool charts = false;
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      const auto& [title, pieces] = sections_[i];
      for (const piece& p : pieces) charts = charts || p.is == kind::chart;
      if (std::all_of(pieces.begin(), pieces.end(), left_out)) continue;
      const std::string id = "s" + std::to_string(i + 1);
      if (!title.empty()) {
        nav += "<a href=\"#" + id + "\">" + escape_html(title) + "</a>\n";
        body += "<section>\n<h2 id=\"" + id + "\">" + escape_html(title) + "</h2>\n";
      } else {
        body += "<section>\n";
      }
      for (const piece& p : pieces) {
        if (left_out(p)) continue;
        if (p.is == kind::folded) body += draws ? "<details>" : "<details open>";
        body += p.html;
      }
      body += "</section>\n";
    }
    std::string page =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data: blob:\">\n<title>" +
        escape_html(title_) + "</title>\n<style>" + std::string(page::style) +
        "</style>\n</head>\n<body>\n<header>\n<h1>" + escape_html(title_) + "</h1>\n";
    if (!under_.empty()) page += "<p class=\"under\">" + escape_html(under_) + "</p>\n";
    if (!nav.empty()) page += "<nav>\n" + nav + "</nav>\n";
    page += "</header>\n<main>\n";
    if (charts && !draws)
      page +=
          "<p class=\"notice\">The charts are missing: they need the ECharts script. Run npm install echarts "
          "in the build "
          "folder, configure again and write the report again; the tables are complete.</p>\n";
    if (charts && draws) page += "<noscript><p class=\"notice\">The charts need JavaScript.</p></noscript>\n";
    if (checks_ > 0)
      page += "<section>\n<h2 id=\"checks\">Checks</h2>\n<p>" + std::to_string(passed_) + " of " +
              std::to_string(checks_) + " checks pass.</p>\n<ul class=\"checks\">\n" + check_list_ +
              "</ul>\n</section>\n";
    page += body + "</main>\n";
    if (charts && draws)
      page += "<script>" + script_text(echarts) + "</script>\n<script>" + std::string(page::script) +
              "</script>\n";
    return page + "</body>\n</html>\n";
  }

  /// Writes html() in place of `file`, all or nothing; a script that is no readable file of at most 16 MiB
  /// counts as absent.  Throws modx::io::io_error where the page can't be written.
  void write(const std::filesystem::path& file, const std::filesystem::path& echarts_js = {}) const {
    file_bytes script;
    try {
      if (!echarts_js.empty()) script = read_file(echarts_js, std::uint64_t{16} << 20);
    } catch (const error&) {  // the page says that the charts are missing
    }
    write_file(file, html(script.text()));
  }

 private:
  enum class kind { plain, chart, folded };
  struct piece {
    std::string html;
    kind is;
  };
  struct part {
    std::string title;
    std::vector<piece> pieces;
  };

  void add(std::string html, kind is = kind::plain) {
    if (sections_.empty()) section("");
    sections_.back().pieces.push_back({std::move(html), is});
  }

  std::string title_, under_, check_list_;
  int passed_ = 0, checks_ = 0;
  std::vector<part> sections_;
};

}  // namespace modx::io
