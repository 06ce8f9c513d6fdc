// What the law suites take and say: options, a report, and errors that name the law, the place and both numbers.
#pragma once
#include <cstdio>
#include <modx/model.hpp>

namespace modx::laws {

/// How a suite draws and compares; the tolerances are meant for double.
struct options {
  std::uint64_t seed = 1;
  std::size_t tokens = 5;
  double step = 1e-5;        // of central differences, times max(1, |x|)
  double atol = 1e-6;        // |gradient - difference| <= atol + rtol max(|gradient|, |difference|)
  double rtol = 1e-6;
  double exact = 1e-12;      // for two ways to the same number
  std::size_t attempts = 10; // seeds to try until no kink (relu at 0, a tie of top-k) lies within a step
  std::size_t domains = 0;   // tokens get domain ids below it
  bool sequences = false;    // tokens form two sequences, for attention
};

/// What was checked; a broken law throws instead.
struct report {
  std::size_t numbers = 0;  // gradients and values compared
  double worst = 0;         // largest error, as a share of its tolerance
  std::size_t retries = 0;  // seeds given up because of a kink

  report& operator+=(const report& o) {
    numbers += o.numbers, retries += o.retries;
    worst = o.worst > worst ? o.worst : worst;
    return *this;
  }
};

/// Within a step of this element the function is not smooth: another seed is tried.
class kink : public error {
 public:
  using error::error;
};

inline std::string to_text(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.12g", x);
  return text;
}
/// "name[row, column]".
inline std::string place(const std::string& name, std::size_t i, std::size_t cols) {
  return name + "[" + std::to_string(i / (cols ? cols : 1)) + ", " + std::to_string(cols ? i % cols : 0) + "]";
}
[[noreturn]] inline void broken(const std::string& law, const std::string& where, double expected, double found) {
  throw error("law '" + law + "' is broken at " + where, to_text(expected), to_text(found));
}
/// Counts one comparison; throws when found is not within the tolerance of expected.
inline void compare(report& r, const std::string& law, const std::string& where, double expected, double found,
                    double tolerance) {
  const double off = std::fabs(expected - found) / tolerance;
  if (!(off <= 1)) broken(law, where, expected, found);
  ++r.numbers;
  r.worst = off > r.worst ? off : r.worst;
}
/// Two matrices agree element by element to `tolerance`, absolute below 1 and relative above.
template <class T>
void compare(report& r, const std::string& law, const std::string& name, const matrix<T>& expected,
             const matrix<T>& found, double tolerance) {
  if (expected.rows != found.rows || expected.cols != found.cols)
    throw error("law '" + law + "' is broken at " + name,
                std::to_string(expected.rows) + " x " + std::to_string(expected.cols),
                std::to_string(found.rows) + " x " + std::to_string(found.cols));
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    const double a = double(expected.data[i]), b = double(found.data[i]);
    if (tolerance == 0 ? a != b : !(std::fabs(a - b) <= tolerance * std::fmax(1, std::fabs(a))))
      broken(law, place(name, i, expected.cols), a, b);
  }
  r.numbers += expected.data.size();
}

/// attempt(seed) for seeds o.seed, o.seed + 1, ... until one meets no kink; the last one's is thrown.
template <class F>
report retry(const options& o, F&& attempt) {
  for (std::size_t i = 0;; ++i) {
    try {
      report r = attempt(o.seed + i);
      r.retries += i;
      return r;
    } catch (const kink&) {
      if (i + 1 >= o.attempts) throw;
    }
  }
}

/// Random matrix from (seed, name): normal draws with standard deviation sd.
template <class T = double>
matrix<T> draw(std::uint64_t seed, std::string_view name, std::size_t rows, std::size_t cols, double sd = 1) {
  matrix<T> m(rows, cols);
  const random_stream random(seed, name);
  for (std::size_t i = 0; i < m.data.size(); ++i) m.data[i] = T(sd * random.normal(i));
  return m;
}
/// Random ids below `count`.
inline std::vector<std::int32_t> draw_ids(std::uint64_t seed, std::string_view name, std::size_t n, std::size_t count) {
  std::vector<std::int32_t> id(n);
  const random_stream random(seed, name);
  for (std::size_t i = 0; i < n; ++i) id[i] = std::int32_t(random.below(i, count));
  return id;
}
/// Adds noise to every parameter, so that nothing is checked at a special start such as 0.
template <class B>
void shake(std::span<parameter<B>* const> list, std::uint64_t seed, double sd = 0.3) {
  using T = typename B::scalar;
  for (auto* p : list) {
    auto value = p->host();
    const auto noise = draw<T>(seed, "shake/" + p->name(), p->rows(), p->cols(), sd);
    for (std::size_t i = 0; i < value.data.size(); ++i) value.data[i] += noise.data[i];
    p->set(value);
  }
}
/// Parameters of a list that owns them, without states.
template <class B>
std::vector<parameter<B>*> pointers(const parameter_list<B>& list) {
  std::vector<parameter<B>*> out;
  for (const auto& p : list)
    if (!p->is_state()) out.push_back(p.get());
  return out;
}

}  // namespace modx::laws
