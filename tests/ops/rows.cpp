// Operations along rows and columns: gradients with broadcasts and slices, values by hand, errors.
#include <modx/ops/rows.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;

TEST_CASE("operations along rows have true gradients") {
  const named_function unary[] = {
      {"softmax_rows", [](auto&, inputs x) { return ops::softmax_rows(x[0]); }},
      {"log_softmax_rows", [](auto&, inputs x) { return ops::log_softmax_rows(x[0]); }},
      {"log_sum_exp_rows", [](auto&, inputs x) { return ops::log_sum_exp_rows(x[0]); }},
      {"sum_rows", [](auto&, inputs x) { return ops::square(ops::sum_rows(x[0])); }},
      {"mean_of_rows", [](auto&, inputs x) { return ops::square(ops::mean_of_rows(x[0])); }},
      {"sum", [](auto&, inputs x) { return ops::square(ops::sum(x[0], 0.5)); }},
      {"mean", [](auto&, inputs x) { return ops::square(ops::mean(x[0])); }},
      {"columns", [](auto&, inputs x) { return ops::square(ops::columns(x[0], 1, 2)); }},
      {"overlapping columns", [](auto&, inputs x) { return ops::columns(x[0], 0, 3) * ops::columns(x[0], 1, 3); }},
      {"rows", [](auto&, inputs x) { return ops::square(ops::rows(x[0], 1, 2)); }},
      {"overlapping rows", [](auto&, inputs x) { return ops::rows(x[0], 0, 2) * ops::rows(x[0], 1, 2); }},
      {"a row of columns", [](auto&, inputs x) { return ops::rows(ops::columns(ops::exp(x[0]), 2, 1), 2, 1); }},
      {"softmax twice", [](auto&, inputs x) { return ops::softmax_rows(x[0]) * ops::log_softmax_rows(x[0]); }},
      {"scaled by its own sums", [](auto&, inputs x) { return ops::scale_rows(x[0], ops::sum_rows(x[0])); }},
      {"plus its own mean", [](auto&, inputs x) { return ops::square(ops::add_row(x[0], ops::mean_of_rows(x[0]))); }},
  };
  for (const auto& op : unary) CHECK_NOTHROW(check_gradients(op, {{3, 4}}));
  for (const auto& op : unary) CHECK_NOTHROW(check_gradients(op, {{5, 19}}));
  CHECK_NOTHROW(
      check_gradients({"normalize_rows", [](auto&, inputs x) { return ops::normalize_rows(x[0]); }}, {{3, 4}}, true));
  CHECK_NOTHROW(
      check_gradients({"scale_rows", [](auto&, inputs x) { return ops::scale_rows(x[0], x[1]); }}, {{3, 4}, {3, 1}}));
  CHECK_NOTHROW(check_gradients({"add_row", [](auto&, inputs x) { return ops::square(ops::add_row(x[0], x[1])); }},
                                {{3, 4}, {1, 4}}));
  CHECK_NOTHROW(check_gradients({"take_rows", [](auto& t, inputs x) {
                                   const std::int32_t id[] = {2, 0, 2, 2, 1};
                                   return ops::square(ops::take_rows(x[0], t.input(modx::ids(id)), 5));
                                 }}, {{4, 3}}));
  CHECK_NOTHROW(check_gradients({"add_row twice", [](auto&, inputs x) {
                                   return ops::square(ops::add_row(ops::add_row(x[0], x[1]), x[1]));
                                 }}, {{3, 4}, {1, 4}}));
}

TEST_CASE("operations along rows compute what they say") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const double l3 = std::log(3.0);
  const auto x = t.input(rows({{0, l3}, {5, 5}}));
  CHECK(near(ops::softmax_rows(x).host(), rows({{0.25, 0.75}, {0.5, 0.5}})));
  CHECK(near(ops::log_softmax_rows(x).host(),
             rows({{std::log(0.25), std::log(0.75)}, {std::log(0.5), std::log(0.5)}})));
  CHECK(near(ops::log_sum_exp_rows(x).host(), rows({{std::log(4.0)}, {5 + std::log(2.0)}})));
  const auto y = t.input(rows({{1, 2, 3}, {4, 5, 6}}));
  CHECK(ops::sum_rows(y).host() == rows({{6}, {15}}));
  CHECK(ops::mean_of_rows(y).host() == rows({{2.5, 3.5, 4.5}}));
  CHECK(ops::sum(y).item() == 21);
  CHECK(near(ops::mean(y).item(), 3.5));
  CHECK(ops::columns(y, 1, 2).host() == rows({{2, 3}, {5, 6}}));
  CHECK(ops::rows(y, 1, 1).host() == rows({{4, 5, 6}}));
  CHECK(ops::rows(y, 1, 1).data() == y.data() + 3);
  CHECK(ops::scale_rows(y, t.input(rows({{2}, {-1}}))).host() == rows({{2, 4, 6}, {-4, -5, -6}}));
  CHECK(ops::add_row(y, t.input(rows({{10, 0, -10}}))).host() == rows({{11, 2, -7}, {14, 5, -4}}));
  CHECK(near(ops::normalize_rows(y).host(), rows({{1 / 6., 2 / 6., 0.5}, {4 / 15., 5 / 15., 6 / 15.}})));
  const std::vector<std::int32_t> id = {1, 1, 0};
  CHECK(ops::take_rows(y, t.input(modx::ids(id)), 3).host() == rows({{4, 5, 6}, {4, 5, 6}, {1, 2, 3}}));
}

TEST_CASE("softmaxes of extreme logits are exact") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{1000, 0}, {-1000, -1000}, {1e300, 1e300}}));
  CHECK(near(ops::softmax_rows(x).host(), rows({{1, 0}, {0.5, 0.5}, {0.5, 0.5}})));
  const double half = std::log(0.5);
  CHECK(near(ops::log_softmax_rows(x).host(), rows({{0, -1000}, {half, half}, {half, half}})));
  CHECK(near(ops::log_sum_exp_rows(x).host(), rows({{1000}, {-1000 - half}, {1e300}})));
}

TEST_CASE("operations along rows say what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(modx::matrix<double>(2, 3)), none = t.input(modx::matrix<double>(2, 0));
  const auto s = t.input(modx::matrix<double>(3, 1)), r = t.input(modx::matrix<double>(2, 2));
  CHECK(contains(message([&] { ops::scale_rows(x, s); }), "scale_rows: expected 2 x 1, found 3 x 1"));
  CHECK(contains(message([&] { ops::add_row(x, r); }), "add_row: expected 1 x 3, found 2 x 2"));
  CHECK(contains(message([&] { ops::columns(x, 2, 2); }), "columns: expected a range within 3 columns, found 2 + 2"));
  CHECK(contains(message([&] { ops::columns(x, ~std::size_t(0), 2); }), "columns: expected a range within 3 columns"));
  CHECK(contains(message([&] { ops::rows(x, 1, 2); }), "rows: expected a range within 2 rows, found 1 + 2"));
  CHECK(contains(message([&] { ops::rows(x, ~std::size_t(0), 2); }), "rows: expected a range within 2 rows"));
  CHECK(contains(message([&] { ops::softmax_rows(none); }), "columns > 0, found 0"));
  CHECK(contains(message([&] { ops::mean(none); }), "mean: expected values > 0, found 0"));
  CHECK(contains(message([&] { ops::mean_of_rows(t.input(modx::matrix<double>(0, 3))); }),
                 "mean_of_rows: expected rows > 0"));
  const std::vector<std::int32_t> high = {0, 2}, low = {-1};
  CHECK(contains(message([&] { ops::take_rows(x, t.input(modx::ids(high)), 2); }),
                 "id of token 1: expected 0 <= id < 2, found 2"));
  CHECK(contains(message([&] { ops::take_rows(x, t.input(modx::ids(low)), 1); }), "found -1"));
}
