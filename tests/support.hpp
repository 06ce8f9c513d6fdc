// Small helpers of the tests.
#pragma once
#include <cmath>
#include <initializer_list>
#include <modx/backend/cpu.hpp>
#include <modx/error.hpp>
#include <string>
#include <string_view>

namespace support {

/// Laws and known values are checked in double.
using cpu64 = modx::basic_cpu<double>;

/// What modx::error says when f() throws it; "" when it doesn't.
template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const modx::error& e) {
    return e.what();
  }
  return {};
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// |a - b| <= tolerance, relative above 1.
inline bool near(double a, double b, double tolerance = 1e-12) {
  return std::fabs(a - b) <= tolerance * std::fmax(1, std::fabs(b));
}
inline bool near(const modx::matrix<double>& a, const modx::matrix<double>& b, double tolerance = 1e-12) {
  bool same = a.rows == b.rows && a.cols == b.cols;
  for (std::size_t i = 0; same && i < a.data.size(); ++i) same = near(a.data[i], b.data[i], tolerance);
  return same;
}

/// rows({{1, 2}, {3, 4}}).
inline modx::matrix<double> rows(std::initializer_list<std::initializer_list<double>> values) {
  modx::matrix<double> m(values.size(), values.begin()->size());
  std::size_t i = 0;
  for (const auto& row : values)
    for (const double v : row) m.data[i++] = v;
  return m;
}

}  // namespace support
