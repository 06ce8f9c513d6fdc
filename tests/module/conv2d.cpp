// module::conv2d: laws with and without padding, ReLU and pooling, a convolution by hand, errors.
#include <modx/laws/module.hpp>
#include <modx/module/conv2d.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::conv2d;
static_assert(modx::Module<conv2d, cpu64> && modx::Module<conv2d, modx::cpu>);

TEST_CASE("module::conv2d obeys the laws of a module") {
  cpu64 backend{1, 1};
  const auto check = [&](const conv2d& spec, modx::extent in) {
    return modx::laws::of_module(backend, spec, {.in = in, .out = spec.output(in)}, {.tokens = 2}).numbers;
  };
  CHECK(check({.channels = 3}, {4, 5, 2}) > 0);
  CHECK(check({.channels = 2, .padding = 1}, {3, 3, 1}) > 0);
  CHECK(check({.channels = 2, .kernel = 1}, {2, 3, 3}) > 0);
  CHECK(check({.channels = 2, .kernel = 2, .padding = 1}, {3, 2, 2}) > 0);
  CHECK(check({.channels = 3, .padding = 1, .relu = true}, {4, 3, 1}) > 0);
  CHECK(check({.channels = 3, .padding = 1, .relu = true, .pool = 2}, {4, 5, 1}) > 0);
  CHECK(check({.channels = 9, .padding = 1, .pool = 2}, {4, 4, 1}) > 0);
  CHECK(check({.channels = 2, .kernel = 5, .padding = 2, .relu = true, .pool = 3}, {6, 6, 1}) > 0);
}

TEST_CASE("module::conv2d computes max_pool(relu(x * W + b))") {
  cpu64 backend{1, 1};
  const std::vector<double> image = {1, 2, 3, 4, 5, 6, 7, 8, 9};  // 3 x 3, one channel
  const auto x = rows({{1, 2, 3, 4, 5, 6, 7, 8, 9}});
  auto m = modx::build(backend, conv2d{.channels = 2, .kernel = 2}, {.in = {3, 3, 1}, .out = {2, 2, 2}});
  m.find("weight").set(rows({{1, 0}, {0, 0}, {0, 0}, {-2, 1}}));  // taps (0,0) (0,1) (1,0) (1,1)
  m.find("bias").set(rows({{0.5, -1}}));
  CHECK(m.predict(x) == rows({{1 - 10 + 0.5, 4, 2 - 12 + 0.5, 5, 4 - 16 + 0.5, 7, 5 - 18 + 0.5, 8}}));

  auto pooled = modx::build(backend, conv2d{.channels = 2, .kernel = 2, .relu = true, .pool = 2},
                            {.in = {3, 3, 1}, .out = {1, 1, 2}});
  modx::copy_parameters(m, pooled);
  CHECK(pooled.predict(x) == rows({{0, 8}}));

  auto padded = modx::build(backend, conv2d{.channels = 1, .padding = 1}, {.in = {3, 3, 1}, .out = {3, 3, 1}});
  padded.find("weight").set(rows({{0}, {0}, {0}, {0}, {1}, {0}, {0}, {0}, {0}}));  // the middle tap: identity
  padded.find("bias").set(rows({{0}}));
  CHECK(padded.predict(x) == x);
  padded.find("weight").set(rows({{1}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}}));  // the upper left neighbour
  CHECK(padded.predict(x) == rows({{0, 0, 0, 0, 1, 2, 0, 4, 5}}));
}

TEST_CASE("module::conv2d knows its output") {
  CHECK(conv2d{.channels = 4}.output({28, 28, 1}) == modx::extent(26, 26, 4));
  CHECK(conv2d{.channels = 4, .padding = 1, .pool = 2}.output({28, 28, 1}) == modx::extent(14, 14, 4));
  CHECK(conv2d{.channels = 4, .kernel = 5, .pool = 3}.output({11, 9, 2}) == modx::extent(2, 1, 4));
}

TEST_CASE("module::conv2d says what is wrong") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { conv2d{.kernel = 0}.output({4, 4, 1}); }), "conv2d: expected kernel > 0, found 0"));
  CHECK(contains(message([&] { conv2d{.pool = 0}.output({4, 4, 1}); }), "conv2d: expected pool > 0, found 0"));
  CHECK(contains(message([&] { conv2d{.kernel = 5}.output({4, 4, 1}); }),
                 "conv2d: expected an image of at least 5 x 5 with padding 0, found 4x4x1"));
  CHECK(contains(message([&] { modx::build(backend, conv2d{.channels = 0}, {.in = {4, 4, 1}, .out = 0}); }),
                 "parameter 'weight': expected at least one row and column"));
  auto m = modx::build(backend, conv2d{.channels = 2}, {.in = {4, 4, 1}, .out = {2, 2, 2}});
  modx::tape<cpu64> t(backend);
  const auto channels = message([&] { m.forward(t.input(std::vector<double>(32), 1, {4, 4, 2})); });
  CHECK(contains(channels, "conv2d: expected 18 rows of the weight (kernel^2 x channels), found 9"));
  const auto small = message([&] { m.forward(t.input(std::vector<double>(8), 1, {2, 4, 1})); });
  CHECK(contains(small, "conv2d: expected an image of at least 3 x 3 after padding 0"));
  const auto flat = message([&] { m.forward(t.input(std::vector<double>(16), 1, 16)); });
  CHECK(contains(flat, "conv2d: expected 144 rows of the weight"));
  auto big_pool = modx::build(backend, conv2d{.channels = 2, .pool = 3}, {.in = {4, 4, 1}, .out = 2});
  const auto pool = message([&] { big_pool.forward(t.input(std::vector<double>(16), 1, {4, 4, 1})); });
  CHECK(contains(pool, "3 x 3 before pooling, found 4x4x1"));
  const auto zero = message([&] { modx::ops::conv2d(t.input(std::vector<double>(16), 1, {4, 4, 1}), t.constant(9, 1, 1),
                                                    t.constant(1, 1, 0), 3, 0, false, 0); });
  CHECK(contains(zero, "pool"));
  const auto no_kernel = message([&] { modx::ops::conv2d(t.input(std::vector<double>(16), 1, {4, 4, 1}),
                                                         t.constant(0, 1, 1), t.constant(1, 1, 0), 0, 0, false, 1); });
  CHECK(contains(no_kernel, "kernel"));
}
