// Elementwise operations: gradients, a var used twice, values by hand, errors.
#include <modx/ops/elementwise.hpp>
#include <modx/ops/rows.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;

TEST_CASE("elementwise operations have true gradients") {
  const named_function unary[] = {
      {"affine", [](auto&, inputs x) { return ops::affine(x[0], 2.5, -1); }},
      {"scale", [](auto&, inputs x) { return ops::scale(x[0], -3); }},
      {"exp", [](auto&, inputs x) { return ops::exp(x[0]); }},
      {"square", [](auto&, inputs x) { return ops::square(x[0]); }},
      {"sigmoid", [](auto&, inputs x) { return ops::sigmoid(x[0]); }},
      {"softplus", [](auto&, inputs x) { return ops::softplus(x[0]); }},
      {"relu", [](auto&, inputs x) { return ops::relu(x[0]); }},
      {"gelu", [](auto&, inputs x) { return ops::gelu(x[0]); }},
      {"silu", [](auto&, inputs x) { return ops::silu(x[0]); }},
      {"tanh", [](auto&, inputs x) { return ops::tanh(x[0]); }},
      {"none", [](auto&, inputs x) { return ops::activate(x[0], modx::activation::none); }},
      {"reshape", [](auto&, inputs x) { return ops::square(ops::reshape(x[0], {1, 2, 3})); }},
      {"reshape to other rows", [](auto&, inputs x) { return ops::square(ops::reshape(x[0], 3, 8)); }},
      {"x + b", [](auto&, inputs x) { return x[0] + 2.0; }},
      {"b + x", [](auto&, inputs x) { return 2.0 + x[0]; }},
      {"x - b", [](auto&, inputs x) { return x[0] - 2.0; }},
      {"b - x", [](auto&, inputs x) { return 2.0 - x[0]; }},
      {"-x", [](auto&, inputs x) { return -x[0]; }},
      {"x * a", [](auto&, inputs x) { return x[0] * 2.0; }},
      {"a * x", [](auto&, inputs x) { return 2.0 * x[0]; }},
      {"x / a", [](auto&, inputs x) { return x[0] / 4; }},
      {"x * x", [](auto&, inputs x) { return x[0] * x[0]; }},
      {"x + x", [](auto&, inputs x) { return x[0] + x[0]; }},
      {"x - x^2", [](auto&, inputs x) { return x[0] - ops::square(x[0]); }},
      {"three readers", [](auto&, inputs x) { return ops::exp(x[0]) * ops::tanh(x[0]) + ops::reshape(x[0], 6); }},
  };
  for (const auto& op : unary) CHECK_NOTHROW(check_gradients(op, {{4, 6}}));
  const named_function positive[] = {
      {"log", [](auto&, inputs x) { return ops::log(x[0]); }},
      {"sqrt", [](auto&, inputs x) { return ops::sqrt(x[0]); }},
      {"a / x", [](auto&, inputs x) { return 2 / x[0]; }},
      {"x / x^2", [](auto&, inputs x) { return x[0] / ops::square(x[0]); }},
  };
  for (const auto& op : positive) CHECK_NOTHROW(check_gradients(op, {{4, 6}}, true));
  const named_function binary[] = {
      {"add", [](auto&, inputs x) { return x[0] + x[1]; }},
      {"subtract", [](auto&, inputs x) { return x[0] - x[1]; }},
      {"multiply", [](auto&, inputs x) { return x[0] * x[1]; }},
      {"divide", [](auto&, inputs x) { return x[0] / (x[1] + 0.5); }},
      {"a b + b / a + a", [](auto&, inputs x) { return x[0] * x[1] + x[1] / x[0] + x[0]; }},
  };
  for (const auto& op : binary) CHECK_NOTHROW(check_gradients(op, {{3, 5}, {3, 5}}, true));
}

TEST_CASE("elementwise operations compute what they say") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{-2, 0, 3}})), y = t.input(rows({{4, 5, -6}}));
  CHECK((x + y).host() == rows({{2, 5, -3}}));
  CHECK((x - y).host() == rows({{-6, -5, 9}}));
  CHECK((x * y).host() == rows({{-8, 0, -18}}));
  CHECK((x / y).host() == rows({{-0.5, 0, -0.5}}));
  CHECK((x / 2).host() == rows({{-1, 0, 1.5}}));
  CHECK((1 / y).host() == rows({{0.25, 0.2, -1.0 / 6}}));
  CHECK(ops::affine(x, 2, 1).host() == rows({{-3, 1, 7}}));
  CHECK(ops::square(x).host() == rows({{4, 0, 9}}));
  CHECK(ops::relu(x).host() == rows({{0, 0, 3}}));
  CHECK(near(ops::exp(x).host(), rows({{std::exp(-2), 1, std::exp(3)}})));
  CHECK(near(ops::log(ops::exp(x)).host(), x.host()));
  CHECK(near(ops::sqrt(ops::square(x)).host(), rows({{2, 0, 3}})));
  CHECK(near(ops::sigmoid(x).host(), rows({{1 / (1 + std::exp(2)), 0.5, 1 / (1 + std::exp(-3))}})));
  CHECK(near(ops::softplus(x).host(), rows({{std::log1p(std::exp(-2)), std::log(2), std::log1p(std::exp(3))}})));
  CHECK(ops::softplus(t.input(rows({{1000, -1000}}))).host() == rows({{1000, 0}}));
  CHECK(near(ops::tanh(x).host(), rows({{std::tanh(-2), 0, std::tanh(3)}})));
  CHECK(near(ops::silu(x).host(), rows({{-2 / (1 + std::exp(2)), 0, 3 / (1 + std::exp(-3))}})));
  CHECK(near(ops::gelu(x).host(), rows({{-(1 + std::erf(-std::sqrt(2))), 0, 1.5 * (1 + std::erf(3 / std::sqrt(2)))}})));
  CHECK(ops::activate(x, modx::activation::none).data() == x.data());
}

TEST_CASE("stop_gradient passes values and no gradient") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{3}}).data, 1, 1, true);
  const auto y = ops::stop_gradient(x);
  CHECK(y.data() == x.data());
  CHECK_FALSE(y.needs_gradient());
  t.backward(ops::sum(x * y));
  CHECK(x.gradient()[0] == 3);  // and not 6
}

TEST_CASE("reshape views the same values") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{1, 2, 3, 4}}));
  CHECK(ops::reshape(x, {2, 2, 1}).data() == x.data());
  CHECK(ops::reshape(x, {2, 2, 1}).columns() == modx::extent(2, 2, 1));
  CHECK(ops::reshape(x, 2, 2).data() == x.data());
  CHECK(ops::reshape(x, 2, 2).rows() == 2);
  CHECK(contains(message([&] { ops::reshape(x, 3, 2); }), "reshape: expected 4 values, found 6"));
  CHECK(contains(message([&] { ops::reshape(x, 5); }), "reshape: expected 4 values a row, found 5"));
}

TEST_CASE("elementwise operations refuse different shapes") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(modx::matrix<double>(2, 3)), y = t.input(modx::matrix<double>(3, 2));
  CHECK(contains(message([&] { x + y; }), "add: expected 2 x 3, found 3 x 2"));
  CHECK(contains(message([&] { x - y; }), "subtract: expected 2 x 3, found 3 x 2"));
  CHECK(contains(message([&] { x* y; }), "multiply: expected 2 x 3, found 3 x 2"));
  CHECK(contains(message([&] { x / y; }), "divide: expected 2 x 3, found 3 x 2"));
}
