// CSV (RFC 4180): fields between commas, lines that end in LF or CRLF; a quoted field may hold commas, line
// ends, and quotes that are doubled.
#pragma once
#include <modx/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace moe_lm {

/// Reads one record after the other; empty lines between them are passed over.
class csv_reader {
  std::string_view text_;
  std::string where_;
  std::size_t at_ = 0, line_ = 1, record_line_ = 1;

  [[noreturn]] void fail(const char* expected, const std::string& found) const {
    throw modx::error(where_ + ", line " + std::to_string(line_), expected, found);
  }
  bool ends() const { return at_ == text_.size(); }
  bool line_ends() const {
    return text_[at_] == '\n' || (text_[at_] == '\r' && text_.substr(at_, 2) == "\r\n");
  }
  void next_line() { at_ += text_[at_] == '\r' ? 2 : 1, ++line_; }

  std::string quoted() {
    std::string out;
    for (++at_;; ++at_) {
      if (ends()) fail("a quote that ends the field", "the end of the file");
      if (text_[at_] == '"' && text_.substr(at_, 2) != "\"\"") break;
      if (text_[at_] == '"') ++at_;
      line_ += text_[at_] == '\n';
      out += text_[at_];
    }
    ++at_;
    if (!ends() && text_[at_] != ',' && !line_ends())
      fail("a comma or the end of the line after a quoted field", std::string(text_.substr(at_, 20)));
    return out;
  }
  std::string plain() {
    const std::size_t from = at_;
    while (!ends() && text_[at_] != ',' && !line_ends()) {
      if (text_[at_] == '"')
        fail("quotes around a whole field", std::string(text_.substr(from, at_ - from + 20)));
      ++at_;
    }
    return std::string(text_.substr(from, at_ - from));
  }

 public:
  csv_reader(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }
  /// The next record's fields; false at the end.
  bool next(std::vector<std::string>& fields) {
    while (!ends() && line_ends()) next_line();
    if (ends()) return false;
    record_line_ = line_;
    fields.clear();
    for (bool more = true; more; ++at_) {
      fields.push_back(!ends() && text_[at_] == '"' ? quoted() : plain());
      more = !ends() && text_[at_] == ',';
      if (!more) break;
    }
    if (!ends()) next_line();
    return true;
  }
  /// Where the last record began.
  std::string place() const { return where_ + ", line " + std::to_string(record_line_); }
};

}  // namespace moe_lm
