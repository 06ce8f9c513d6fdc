// Convolution and pooling on the tape: gradients towards image, weight and bias; a var used twice.
#include <modx/ops/conv.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;

TEST_CASE("convolution and pooling have true gradients") {
  const auto conv = [](std::size_t kernel, std::size_t pad, bool relu, std::size_t pool) {
    return [=](modx::tape<cpu64>&, inputs x) { return ops::conv2d(x[0], x[1], x[2], kernel, pad, relu, pool); };
  };
  const modx::extent image(4, 5, 2);
  CHECK_NOTHROW(check_gradients({"3 x 3", conv(3, 0, false, 1)}, {{2, image}, {18, 3}, {1, 3}}));
  CHECK_NOTHROW(check_gradients({"3 x 3, padded", conv(3, 1, false, 1)}, {{2, image}, {18, 3}, {1, 3}}));
  CHECK_NOTHROW(check_gradients({"1 x 1", conv(1, 0, false, 1)}, {{2, image}, {2, 4}, {1, 4}}));
  CHECK_NOTHROW(check_gradients({"1 x 1, padded", conv(1, 1, true, 1)}, {{2, image}, {2, 4}, {1, 4}}));
  CHECK_NOTHROW(check_gradients({"relu", conv(3, 1, true, 1)}, {{2, image}, {18, 3}, {1, 3}}));
  CHECK_NOTHROW(check_gradients({"relu, pool", conv(3, 1, true, 2)}, {{2, image}, {18, 3}, {1, 3}}));
  CHECK_NOTHROW(check_gradients({"pool", conv(2, 1, false, 3)}, {{2, image}, {8, 2}, {1, 2}}));
  CHECK_NOTHROW(check_gradients({"17 channels", conv(3, 1, true, 2)}, {{1, {4, 4, 1}}, {9, 17}, {1, 17}}));
  CHECK_NOTHROW(check_gradients({"max_pool", [](auto&, inputs x) { return ops::max_pool(x[0], 2); }}, {{2, image}}));
  CHECK_NOTHROW(check_gradients({"image read twice", [](auto&, inputs x) {
                                   const auto y = ops::conv2d(x[0], x[1], x[2], 3, 1, true, 2);
                                   return y * ops::conv2d(x[0], x[1], x[2], 3, 1, false, 2) + ops::max_pool(x[0], 2);
                                 }}, {{2, image}, {18, 2}, {1, 2}}));
}

TEST_CASE("convolution leaves out gradients that nobody wants") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  for (const int wanted : {0, 1, 2}) {
    const auto input = [&](int i, std::size_t n, modx::extent columns) {
      return t.input(modx::laws::draw(std::uint64_t(i), "in", n, columns.size()).data, n, columns, i == wanted);
    };
    const auto x = input(0, 2, {4, 4, 1}), w = input(1, 9, 3), b = input(2, 1, 3);
    const auto loss = ops::sum(ops::conv2d(x, w, b, 3, 1, true, 2));
    t.backward(loss);
    CHECK(x.has_gradient() == (wanted == 0));
    CHECK(w.has_gradient() == (wanted == 1));
    CHECK(b.has_gradient() == (wanted == 2));
  }
}
