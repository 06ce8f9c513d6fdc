// Matrix products: gradients, plain, fused and by groups; a var on both sides; values by hand; errors.
#include <functional>
#include <modx/ops/residual.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;
using modx::activation;

TEST_CASE("matrix products have true gradients") {
  const named_function products[] = {
      {"matmul", [](auto&, inputs x) { return ops::matmul(x[0], x[1]); }},
      {"linear without bias", [](auto&, inputs x) { return ops::linear(x[0], x[1]); }},
      {"linear", [](auto&, inputs x) { return ops::linear(x[0], x[1], x[2]); }},
      {"linear, relu", [](auto&, inputs x) { return ops::linear(x[0], x[1], x[2], activation::relu); }},
      {"linear, gelu", [](auto&, inputs x) { return ops::linear(x[0], x[1], x[2], activation::gelu); }},
      {"linear, silu", [](auto&, inputs x) { return ops::linear(x[0], x[1], x[2], activation::silu); }},
      {"linear, tanh", [](auto&, inputs x) { return ops::linear(x[0], x[1], x[2], activation::tanh); }},
      {"used twice", [](auto&, inputs x) {
         return ops::linear(x[0], x[1], x[2]) * ops::linear(ops::exp(x[0]), x[1], x[2], activation::tanh);
       }},
  };
  for (const auto& op : products) {
    CHECK_NOTHROW(check_gradients(op, {{3, 4}, {4, 2}, {1, 2}}));
    CHECK_NOTHROW(check_gradients(op, {{1, 1}, {1, 1}, {1, 1}}));
    CHECK_NOTHROW(check_gradients(op, {{7, 3}, {3, 17}, {1, 17}}));
  }
  CHECK_NOTHROW(check_gradients({"a a", [](auto&, inputs x) { return ops::matmul(x[0], x[0]); }}, {{4, 4}}));
  CHECK_NOTHROW(check_gradients({"a a a + a", [](auto&, inputs x) {
                                   return ops::matmul(ops::matmul(x[0], x[0]), x[0]) + x[0];
                                 }}, {{3, 3}}));
  CHECK_NOTHROW(check_gradients({"bias is the weight", [](auto&, inputs x) { return ops::linear(x[0], x[1], x[1]); }},
                                {{3, 1}, {1, 4}}));
}

TEST_CASE("a ReLU's backward pass inside the products that read it changes no bit") {
  const auto product = [](variable h, variable v) { return ops::sum(ops::square(ops::linear(h, v))); };
  const auto other = [](variable h) { return ops::sum(ops::exp(h)); };
  struct reading {
    const char* readers;
    bool gated;  // all readers are products, which mask what they add
    std::function<variable(variable h, variable v, variable g)> loss;
  };
  const reading cases[] = {
      {"a product", true, [=](auto h, auto v, auto) { return product(h, v); }},
      {"two products", true, [=](auto h, auto v, auto g) { return product(h, v) + product(h, g); }},
      {"a product with a ReLU of its own", true,
       [=](auto h, auto v, auto g) { return product(ops::linear(h, g, {}, activation::relu), v); }},
      {"a product, then another operation", false, [=](auto h, auto v, auto) { return other(h) + product(h, v); }},
      {"another operation, then a product", false, [=](auto h, auto v, auto) { return product(h, v) + other(h); }},
      {"another operation", false, [=](auto h, auto, auto) { return other(h); }},
  };
  for (const auto& c : cases) {
    CAPTURE(c.readers);
    std::vector<double> found[2];
    for (const bool fused : {false, true}) {
      cpu64 backend{1, 1};
      modx::tape<cpu64> t(backend);
      const auto in = [&](std::uint64_t seed, std::size_t n, std::size_t m) {
        return t.input(modx::laws::draw(seed, "x", n, m).data, n, m, true);
      };
      const auto x = in(1, 9, 5), w = in(2, 5, 40), b = in(3, 1, 40), v = in(4, 40, 3), g = in(5, 40, 40);
      const auto h = fused ? ops::linear(x, w, b, activation::relu) : ops::relu(ops::linear(x, w, b));
      t.backward(c.loss(h, v, g));
      for (const auto& leaf : {x, w, b})
        found[fused].insert(found[fused].end(), leaf.gradient(), leaf.gradient() + leaf.size());
      CHECK(h.raw().gated == (fused && c.gated));
    }
    CHECK(found[0] == found[1]);
  }
}

TEST_CASE("a a has the same gradient bits for any number of threads") {
  for (const std::size_t n : {48, 160}) {  // one task for each of the two gradients of a; many
    std::vector<double> first;
    const auto m = modx::laws::draw(3, "a", n, n, 0.1);
    for (const int threads : {1, 2, 3, 4}) {
      cpu64 backend{1, threads};
      modx::tape<cpu64> t(backend);
      for (int i = 0; i < 100; ++i) {
        t.reset();
        const auto a = t.input(m.data, n, n, true);
        t.backward(ops::sum(ops::square(ops::matmul(a, a))));
        const std::vector<double> g(a.gradient(), a.gradient() + m.data.size());
        if (first.empty()) first = g;
        REQUIRE(g == first);
      }
    }
  }
}

TEST_CASE("grouped products equal products group by group") {
  const auto grouped = [](ops::detail::grouping kind, const std::int32_t* offsets, activation act) {
    return [=](modx::tape<cpu64>& t, inputs in) {  // in: x, three weights, three biases
      auto* w = t.host<variable>(6);
      for (std::size_t i = 0; i < 6; ++i) w[i] = in[1 + i];
      return ops::detail::grouped_linear<cpu64>("grouped", in[0], {3, w, w + 3, kind, offsets}, act);
    };
  };
  static const std::int32_t offsets[] = {0, 2, 2, 5};
  for (const auto act : {activation::none, activation::relu, activation::gelu}) {
    const modx::shape w{2, 4}, b{1, 4};
    check_gradients({"shared", grouped(ops::detail::grouping::shared, nullptr, act)}, {{5, 2}, w, w, w, b, b, b});
    check_gradients({"sorted", grouped(ops::detail::grouping::sorted, offsets, act)}, {{5, 2}, w, w, w, b, b, b});
    check_gradients({"blocks", grouped(ops::detail::grouping::blocks, nullptr, act)}, {{5, 6}, w, w, w, b, b, b});
  }
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(modx::laws::draw(1, "x", 5, 6)), narrow = ops::columns(x, 0, 2);
  std::vector<variable> in = {narrow};
  for (int i = 0; i < 3; ++i) in.push_back(t.input(modx::laws::draw(std::uint64_t(i), "w", 2, 4)));
  for (int i = 0; i < 3; ++i) in.push_back(t.input(modx::laws::draw(std::uint64_t(i), "b", 1, 4)));
  const auto shared = grouped(ops::detail::grouping::shared, nullptr, activation::relu)(t, in);
  const auto sorted = grouped(ops::detail::grouping::sorted, offsets, activation::relu)(t, in);
  in[0] = x;
  const auto blocks = grouped(ops::detail::grouping::blocks, nullptr, activation::relu)(t, in);
  for (std::size_t g = 0; g < 3; ++g) {
    const auto own = ops::linear(narrow, in[1 + g], in[4 + g], activation::relu);
    CHECK(near(ops::columns(shared, 4 * g, 4).host(), own.host()));
    const std::size_t from = std::size_t(offsets[g]), n = std::size_t(offsets[g + 1] - offsets[g]);
    CHECK(near(ops::rows(sorted, from, n).host(), ops::rows(own, from, n).host()));
    const auto block = ops::linear(ops::columns(x, 2 * g, 2), in[1 + g], in[4 + g], activation::relu);
    CHECK(near(ops::columns(blocks, 4 * g, 4).host(), block.host()));
  }
}

TEST_CASE("linear computes activation(x W + b)") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{1, 2}})), w = t.input(rows({{1, -1, 0}, {3, 0, -4}})),
             b = t.input(rows({{0.5, 0.25, 9}}));
  CHECK(ops::matmul(x, w).host() == rows({{7, -1, -8}}));
  CHECK(ops::linear(x, w, b).host() == rows({{7.5, -0.75, 1}}));
  CHECK(ops::linear(x, w, b, activation::relu).host() == rows({{7.5, 0, 1}}));
}

TEST_CASE("linear sends gradients to parameters, once for each use") {
  cpu64 backend{1, 1};
  modx::parameter_list<cpu64> list;
  modx::builder<cpu64> b(backend, list, 1);
  auto& w = b.make("w", 2, 1, modx::init::constant(1));
  auto& bias = b.make("b", 1, 1, modx::init::constant(0));
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{1, 2}, {3, 4}}));
  t.backward(ops::sum(ops::linear(x, w, &bias) + ops::linear(x, w, nullptr)));
  CHECK(std::vector<double>(w.gradient(), w.gradient() + 2) == std::vector<double>{8, 12});
  CHECK(bias.gradient()[0] == 2);
}

TEST_CASE("matrix products say what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(modx::matrix<double>(2, 3)), w = t.input(modx::matrix<double>(4, 2));
  const auto fine = t.input(modx::matrix<double>(3, 2)), b = t.input(modx::matrix<double>(1, 3));
  CHECK(contains(message([&] { ops::matmul(x, w); }),
                 "matmul: expected 3 rows of the weight (the input's width), found 4"));
  CHECK(contains(message([&] { ops::linear(x, w); }),
                 "linear: expected 3 rows of the weight (the input's width), found 4"));
  CHECK(contains(message([&] { ops::linear(x, fine, b); }), "linear: expected 2 values of the bias, found 3"));
  CHECK(contains(message([&] { ops::detail::grouped_linear<cpu64>("grouped", x, {}, activation::none); }),
                 "grouped: expected at least one weight, found none"));
}

TEST_CASE("add_linear is h + activation(x W + z V + b), with true gradients") {
  for (const auto act : {activation::none, activation::relu, activation::gelu, activation::tanh}) {
    const auto one = [act](auto&, inputs x) { return ops::add_linear(x[0], x[1], x[2], x[3], act); };
    const auto two = [act](auto&, inputs x) { return ops::add_linear(x[0], x[1], x[2], x[4], x[5], x[3], act); };
    const auto round = [act](auto&, inputs x) { return ops::add_linear(x[0], x[0], x[1], x[2], act) * x[0]; };
    check_gradients({"one product", one}, {{5, 3}, {5, 2}, {2, 3}, {1, 3}});
    check_gradients({"two products", two}, {{5, 3}, {5, 2}, {2, 3}, {1, 3}, {5, 4}, {4, 3}});
    check_gradients({"of itself", round}, {{5, 3}, {3, 3}, {1, 3}});
    check_gradients({"of a ReLU", [&](auto& t, inputs x) {
                       const variable in[] = {x[0], ops::linear(x[0], x[1], x[2], activation::relu), x[1], x[2]};
                       return one(t, inputs(in));
                     }}, {{5, 3}, {3, 3}, {1, 3}});
    cpu64 backend{1, 2};
    modx::tape<cpu64> t(backend);
    std::vector<variable> in;
    for (const auto& [n, m] : {std::pair(40, 33), {40, 21}, {21, 33}, {1, 33}, {40, 35}, {35, 33}})
      in.push_back(t.input(modx::laws::draw(in.size(), "x", std::size_t(n), std::size_t(m))));
    const auto sum = ops::matmul(in[1], in[2]) + ops::linear(in[4], in[5], in[3]);
    CHECK(near(two(t, in).host(), (in[0] + ops::activate(sum, act)).host(), 1e-12));
    CHECK(near(one(t, in).host(), (in[0] + ops::linear(in[1], in[2], in[3], act)).host(), 1e-12));
  }
}
