// Weights frozen in bfloat16: the bits of the same product with rounded weights, at any number of rows and threads; lookups;
// what can't be done with them.
#include <modx/backend/bfloat16.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/sequential.hpp>
#include <modx/ops/residual.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
namespace ops = modx::ops;

namespace {

float rounded(float x) { return modx::from_bf16(modx::to_bf16(x)); }
/// Freezes p for x W or x W^T and leaves its rounded values in `m`.
void freeze(modx::parameter<modx::cpu>& p, bool transposed, modx::matrix<float>& m) {
  m = p.host();
  auto* panels = p.freeze_bf16(transposed);
  const auto view = transposed ? modx::matrix_view<float>::transposed(m.data.data(), m.cols)
                               : modx::matrix_view<float>::plain(m.data.data(), m.cols);
  const std::size_t k = transposed ? m.cols : m.rows, n = transposed ? m.rows : m.cols;
  p.backend().pack_bf16(k, 0, n, view, panels);
  for (float& x : m.data) x = rounded(x);
}

}  // namespace

TEST_CASE("bfloat16 is the upper half of a float, rounded to even") {
  CHECK(modx::to_bf16(1.0f) == 0x3f80);
  CHECK(modx::to_bf16(std::bit_cast<float>(0x3f808000u)) == 0x3f80);  // a tie goes to the even one
  CHECK(modx::to_bf16(std::bit_cast<float>(0x3f818000u)) == 0x3f82);
  CHECK(modx::to_bf16(std::bit_cast<float>(0x3f808001u)) == 0x3f81);
  CHECK(modx::to_bf16(-0.0f) == 0x8000);
  CHECK(rounded(std::numeric_limits<float>::infinity()) == std::numeric_limits<float>::infinity());
  CHECK(rounded(std::numeric_limits<float>::max()) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7f800001u))));
}

TEST_CASE("products with frozen weights have the bits of products with rounded ones") {
  for (const auto& [k, n] : {std::pair<std::size_t, std::size_t>{1, 1}, {7, 16}, {40, 33}, {64, 130}, {2100, 50}})
    for (const bool transposed : {false, true}) {
      modx::cpu backend{1, 2};
      modx::parameter_list<modx::cpu> list;
      modx::builder<modx::cpu> b(backend, list, 3);
      auto& w = transposed ? b.make("w", n, k, modx::init::normal(1)) : b.make("w", k, n, modx::init::normal(1));
      auto& plain = transposed ? b.make("plain", n, k, modx::init::zeros()) : b.make("plain", k, n, modx::init::zeros());
      modx::matrix<float> m;
      freeze(w, transposed, m);
      plain.set(m);
      CHECK(w.host() == m);
      modx::tape<modx::cpu> t(backend);
      modx::matrix<float> first;
      for (const std::size_t rows : {std::size_t(100), std::size_t(1), std::size_t(2), std::size_t(3), std::size_t(4), std::size_t(17)}) {
        CAPTURE(k, n, transposed, rows);
        const auto x = t.input(modx::matrix<float>(100, k));
        const auto values = backend.normal(100, k);
        const auto in = t.input(std::span(values.data).first(rows * k), rows, k);
        static_cast<void>(x);
        const auto y = transposed ? ops::matmul_transposed(in, t.use(w)).host() : ops::linear(in, t.use(w), {}, modx::activation::gelu).host();
        const auto z = transposed ? ops::matmul_transposed(in, t.use(plain)).host() : ops::linear(in, t.use(plain), {}, modx::activation::gelu).host();
        CHECK(y == z);
      }
      if (!transposed) continue;
      const std::int32_t id[] = {std::int32_t(n - 1), 0, std::int32_t(n / 2)};
      CHECK(ops::take_rows(t.use(w), t.input(modx::ids(id)), 3).host() == ops::take_rows(t.use(plain), t.input(modx::ids(id)), 3).host());
    }
}

TEST_CASE("the gradient goes through a frozen weight as through a rounded one") {
  for (const auto& [k, m] : {std::pair<std::size_t, std::size_t>{3, 5}, {40, 2100}})
    for (const bool transposed : {false, true})
      for (const auto act : {modx::activation::none, modx::activation::relu}) {
        modx::cpu backend{1, 2};
        modx::parameter_list<modx::cpu> list;
        modx::builder<modx::cpu> b(backend, list, 3);
        auto& w = transposed ? b.make("w", m, k, modx::init::normal(1)) : b.make("w", k, m, modx::init::normal(1));
        auto& plain = transposed ? b.make("plain", m, k, modx::init::zeros()) : b.make("plain", k, m, modx::init::zeros());
        auto& first = b.make("first", 4, k, modx::init::normal(1));
        modx::matrix<float> values;
        freeze(w, transposed, values);
        plain.set(values);
        plain.set_trainable(false);
        const auto in = backend.normal(9, 4), weights = backend.normal(9, m);
        const auto gradient = [&](modx::parameter<modx::cpu>& p) {
          modx::tape<modx::cpu> t(backend);
          const auto h = ops::linear(t.input(in), t.use(first), {}, act);  // a ReLU's gate is in the product behind it
          const auto y = transposed ? ops::matmul_transposed(h, t.use(p)) : ops::linear(h, t.use(p));
          first.gradient_is_fresh = true;
          t.backward(ops::sum(y * t.input(weights)) + ops::sum(ops::square(h)));
          return std::vector<float>(first.gradient(), first.gradient() + first.size());
        };
        const auto a = gradient(w), c = gradient(plain);
        CAPTURE(k, m, transposed, int(act));
        float size = 0, off = 0;
        for (std::size_t i = 0; i < a.size(); ++i) size = std::max(size, std::fabs(c[i])), off = std::max(off, std::fabs(a[i] - c[i]));
        CHECK(size > 0);
        CHECK(off <= 2e-6f * size);
      }
}

TEST_CASE("what is frozen can't be trained, written or read, and says so") {
  modx::cpu backend{1, 1};
  auto m = modx::build(backend, modx::module::sequential(modx::module::linear{.out = 3}, modx::module::linear{}), {2, 2});
  modx::matrix<float> kept;
  auto& w = m.find("1.weight");
  freeze(w, false, kept);
  CHECK(contains(message([&] { m.train_only({"*"}); }), "parameter '1.weight': expected one that is not frozen"));
  CHECK(contains(message([&] { w.set(kept); }), "frozen in bfloat16, to write it"));
  CHECK(contains(message([&] { w.freeze_bf16(false); }), "not frozen yet"));
  const auto x = backend.normal(4, 2);
  auto& t = m.tape_of_step();
  t.reset();
  CHECK(contains(message([&] { ops::square(t.use(w)).host(); }), "only products and lookups"));
  CHECK(contains(message([&] { ops::matmul_transposed(t.input(x), t.use(w)); }), "weight"));
  const std::int32_t id[] = {0};
  CHECK(contains(message([&] { ops::take_rows(t.use(w), t.input(modx::ids(id)), 1); }), "a table frozen for x W^T"));
  t.reset();
  CHECK(m.predict(x).rows == 4);  // without gradients it works
  const std::vector<std::int32_t> label{0, 1, 0, 1};
  const auto below = m.find("0.weight").host(), bias = m.find("1.bias").host();
  modx::train_step(m, modx::optimizer::sgd{.lr = 0.1}, modx::loss::cross_entropy{}, x, label);
  CHECK(!(m.find("1.bias").host() == bias));  // what lies around it still trains
  CHECK(!(m.find("0.weight").host() == below));
  CHECK(w.host() == kept);
}

TEST_CASE("a parameter to be loaded has no value and no memory until it is") {
  modx::cpu backend{1, 1};
  auto m = modx::build(backend, modx::module::linear{}, {3, 2}, modx::to_be_loaded);
  CHECK(contains(message([&] { m.predict(modx::matrix<float>(1, 3)); }), "expected a value, found none: it has not been loaded"));
  CHECK(contains(message([&] { m.find("weight").host(); }), "it has not been loaded"));
  m.find("weight").set(modx::matrix<float>(3, 2));
  m.find("bias").set(modx::matrix<float>(1, 2));
  CHECK(m.predict(modx::matrix<float>(1, 3)) == modx::matrix<float>(1, 2));
}

TEST_CASE("add_linear with a frozen weight: values and gradient of the rounded one") {
  modx::cpu backend{1, 2};
  modx::parameter_list<modx::cpu> list;
  modx::builder<modx::cpu> b(backend, list, 3);
  auto& w = b.make("w", 7, 5, modx::init::normal(1));
  auto& plain = b.make("plain", 7, 5, modx::init::zeros());
  auto& first = b.make("first", 4, 7, modx::init::normal(1));
  modx::matrix<float> values;
  freeze(w, false, values);
  plain.set(values);
  plain.set_trainable(false);
  const auto in = backend.normal(9, 4), h = backend.normal(9, 5);
  const auto run = [&](modx::parameter<modx::cpu>& p) {
    modx::tape<modx::cpu> t(backend);
    const auto y = ops::add_linear(t.input(h), ops::linear(t.input(in), t.use(first)), t.use(p), {}, modx::activation::gelu);
    first.gradient_is_fresh = true;
    t.backward(ops::sum(ops::square(y)));
    return std::pair(y.host(), modx::matrix<float>(t.tensor(first.gradient(), 4, 7).host()));
  };
  const auto a = run(w), c = run(plain);
  CHECK(a.first == c.first);
  for (std::size_t i = 0; i < a.second.data.size(); ++i) CHECK(near(a.second.data[i], c.second.data[i], 1e-4));
}
