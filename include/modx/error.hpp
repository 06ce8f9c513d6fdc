// The one exception type of the library: every message says where, what, what was expected and what was found.
#pragma once
#include <stdexcept>
#include <string>

namespace modx {

/// Thrown on bad input: shapes, options, files.  Nothing of the library's state has changed when it is thrown.
class error : public std::runtime_error {
 public:
  explicit error(const std::string& what) : std::runtime_error("modx: " + what) {}
  /// "modx: <where>: expected <expected>, found <found>".
  error(const std::string& where, const std::string& expected, const std::string& found)
      : error(where + ": expected " + expected + ", found " + found) {}
};

}  // namespace modx
