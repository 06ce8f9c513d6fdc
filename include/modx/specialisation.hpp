// How different experts are, as a number beside the one that random experts have.
#pragma once
#include <cmath>
#include <modx/model.hpp>

namespace modx {

template <class T>
double cosine(std::span<const T> a, std::span<const T> b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    ab += double(a[i]) * double(b[i]), aa += double(a[i]) * double(a[i]), bb += double(b[i]) * double(b[i]);
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}
/// 1 - mean of f(cosine) over pairs of the first `count` rows; 1 where there is no pair.
template <class T, class F>
double unlikeness(const matrix<T>& rows, std::size_t count, F&& f) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = i + 1; j < count; ++j) sum += f(cosine(rows.row(i), rows.row(j)));
  return count < 2 ? 1 : 1 - 2 * sum / double(count * (count - 1));
}

/// 1 - mean |cos| between experts' rows, and what independent normal rows of these sizes have.
struct specialisation {
  double score = 1, at_random = 1;
};
template <class T>
specialisation specialisation_of(const matrix<T>& rows, std::uint64_t seed = 1) {
  const auto magnitude = [](double c) { return std::fabs(c); };
  matrix<float> random(rows.rows, rows.cols);
  const random_stream draws(seed, "specialisation");
  for (std::size_t i = 0; i < random.data.size(); ++i) random.data[i] = float(draws.normal(i));
  return {unlikeness(rows, rows.rows, magnitude), unlikeness(random, rows.rows, magnitude)};
}
/// Of the parameters that match `pattern`, one of each expert: "experts.*.up.weight".
template <class M>
specialisation specialisation_of(const M& model, std::string_view pattern, std::uint64_t seed = 1) {
  matrix<typename M::scalar> rows;
  for (auto* p : model.parameters()) {
    if (!matches(pattern, p->name())) continue;
    if (rows.rows == 0) rows.cols = p->size();
    expect_equal("specialisation_of", ("values of '" + p->name() + "'").c_str(), rows.cols, p->size());
    const auto values = p->host();
    rows.data.insert(rows.data.end(), values.data.begin(), values.data.end());
    ++rows.rows;
  }
  if (rows.rows < 2)
    throw error("specialisation_of", "two parameters that match '" + std::string(pattern) + "'",
                std::to_string(rows.rows));
  return specialisation_of(rows, seed);
}

}  // namespace modx
