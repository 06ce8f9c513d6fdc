// A table of a report: numbers right-aligned, mean ± sd, the best of a column marked.
#pragma once
#include <cmath>
#include <modx/analysis/statistics.hpp>
#include <modx/error.hpp>
#include <modx/io/report/text.hpp>
#include <string>
#include <utility>
#include <vector>

namespace modx::io {

/// One cell: a text, or a number with what it is compared by; use cell::number, count, of, missing.
struct cell {
  std::string text{};
  std::string sd{};    // what stands after ±
  double value = NAN;  // what the best of a column is chosen by
  bool numeric = false;

  cell(std::string words) : text(std::move(words)) {}
  cell(const char* words) : text(words) {}

  static cell number(double value, int digits = 4) { return {show_number(value, digits), "", value}; }
  static cell count(std::int64_t value) { return {show_count(value), "", static_cast<double>(value)}; }
  /// mean ± sd, or the mean alone where one value has no sd.
  static cell of(const analysis::summary& s, int digits = 4) {
    return {show_number(s.mean, digits), s.spread() ? show_number(s.sd, digits) : "", s.mean};
  }
  static cell missing() { return {"–", "", NAN}; }

 private:
  cell(std::string words, std::string spread, double v)
      : text(std::move(words)), sd(std::move(spread)), value(v), numeric(true) {}
};

/// Which value of a column is marked as its best.
enum class best { none, highest, lowest };

struct column {
  std::string title;
  best mark = best::none;
};

/// A row; one that has an unfair advantage (an oracle) doesn't compete for best.
struct row {
  std::vector<cell> cells;
  bool competes = true;
};

struct table {
  std::vector<column> columns;
  std::vector<row> rows{};
  std::string caption{};
};

/// The table as HTML; throws modx::error where a row has not one cell a column.
inline std::string html_table(const table& t) {
  std::vector<double> best_of;
  for (std::size_t c = 0; c < t.columns.size(); ++c) {
    double winner = NAN;
    bool differ = false;  // a column of equals has no best
    for (const row& r : t.rows) {
      if (r.cells.size() != t.columns.size())
        throw error("io::table", std::to_string(t.columns.size()) + " cells in a row",
                    std::to_string(r.cells.size()));
      const double v = r.cells[c].value, sign = t.columns[c].mark == best::lowest ? -1 : 1;
      if (!r.competes || std::isnan(v)) continue;
      differ = differ || (!std::isnan(winner) && v != winner);
      if (!(sign * v <= sign * winner)) winner = v;
    }
    best_of.push_back(t.columns[c].mark == best::none || !differ ? NAN : winner);
  }
  const auto numeric = [&](std::size_t c) { return !t.rows.empty() && t.rows.front().cells[c].numeric; };
  std::string html = "<figure><div class=\"wide\"><table><thead><tr>";
  for (std::size_t c = 0; c < t.columns.size(); ++c)
    html += std::string(numeric(c) ? "<th scope=\"col\" class=\"num\">" : "<th scope=\"col\">") +
            escape_html(t.columns[c].title) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (const row& r : t.rows) {
    html += "<tr>";
    for (std::size_t c = 0; c < r.cells.size(); ++c) {
      const cell& x = r.cells[c];
      const bool wins = r.competes && x.value == best_of[c];
      const std::string tag = c == 0 ? "th" : "td";
      html += "<" + tag + (c == 0 ? " scope=\"row\"" : "") + (x.numeric ? " class=\"num\">" : ">");
      html += (wins ? "<strong>" : "") + escape_html(x.text) + (wins ? "</strong>" : "");
      if (!x.sd.empty()) html += " <span class=\"sd\">± " + escape_html(x.sd) + "</span>";
      html += "</" + tag + ">";
    }
    html += "</tr>\n";
  }
  html += "</tbody></table></div>";
  if (!t.caption.empty()) html += "<figcaption>" + escape_html(t.caption) + "</figcaption>";
  return html + "</figure>\n";
}

}  // namespace modx::io
