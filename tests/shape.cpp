// Extents, shapes and the checks that every error message goes through.
#include <modx/shape.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace modx;
using support::contains, support::message;

TEST_CASE("extents count values and print themselves") {
  const extent width = 784, image(28, 28, 1);
  CHECK(width.size() == 784);
  CHECK(image.size() == 784);
  CHECK(std::size_t(image) == 784);
  CHECK_FALSE(width == image);
  CHECK(image == extent(28, 28, 1));
  CHECK(to_string(width) == "784");
  CHECK(to_string(extent(4, 1, 3)) == "4x1x3");
  CHECK(extent().size() == 0);
  CHECK(shape{.in = 3, .out = 2} == shape{.in = 3, .out = 2});
  CHECK_FALSE(shape{.in = 3, .out = 2} == shape{.in = 3, .out = {1, 2, 1}});
}

TEST_CASE("errors say where, what was expected and what was found") {
  CHECK(message([] { throw error("here", "two", "three"); }) == "modx: here: expected two, found three");
  CHECK(message([] { throw error("plain"); }) == "modx: plain");
  CHECK(message([] { expect_equal("here", "columns", 2, 2); }).empty());
  CHECK(message([] { expect_equal("here", "columns", 2, 3); }) == "modx: here: expected 2 columns, found 3");
  CHECK(message([] { expect_positive("here", "k", 1); }).empty());
  CHECK(message([] { expect_positive("here", "k", 0); }) == "modx: here: expected k > 0, found 0");
  CHECK(message([] { expect_positive("here", "k", -4); }) == "modx: here: expected k > 0, found -4");
}

TEST_CASE("products that do not fit are refused") {
  CHECK(checked_product("here", 6, 7) == 42);
  CHECK(checked_product("here", 0, ~std::size_t(0)) == 0);
  CHECK(checked_product("here", std::size_t(1) << 24, std::size_t(1) << 24) == std::size_t(1) << 48);
  for (const std::size_t a : {std::size_t(1) << 25, std::size_t(1) << 60, ~std::size_t(0)})
    CHECK(contains(message([&] { checked_product("here", a, a); }),
                   "modx: here: expected a size below 2^48 elements, found "));
}
