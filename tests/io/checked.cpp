#include <modx/io/checked.hpp>

#include "catch.hpp"

using modx::io::checked;

static constexpr std::uint64_t top = ~std::uint64_t{0};

TEST_CASE("checked: sums, differences and products are exact or nothing", "[io]") {
  CHECK((checked(2u) + checked(3u)).value() == 5u);
  CHECK((checked(top) + checked(0u)).value() == top);
  CHECK_FALSE((checked(top) + checked(1u)).ok());
  CHECK((checked(7u) - checked(7u)).value() == 0u);
  CHECK_FALSE((checked(7u) - checked(8u)).ok());
  CHECK((checked(top) * checked(1u)).value() == top);
  CHECK((checked(top) * checked(0u)).value() == 0u);
  CHECK((checked(0u) * checked(top)).value() == 0u);
  CHECK_FALSE((checked(std::uint64_t{1} << 32) * checked(std::uint64_t{1} << 32)).ok());
  CHECK((checked((std::uint64_t{1} << 32) - 1) * checked((std::uint64_t{1} << 32) + 1)).value() == top);
  // Products that wrapped to 4 and to 0 in other readers.
  CHECK_FALSE((checked(4194305u) * checked(4194305u) * checked(std::uint64_t{211106198978564})).ok());
  CHECK_FALSE((checked(std::uint64_t{1} << 63) * checked(2u)).ok());
}

TEST_CASE("checked: an overflow sticks, also through a product with 0", "[io]") {
  const checked bad = checked(top) + checked(1u);
  CHECK_FALSE((bad * checked(0u)).ok());
  CHECK_FALSE((checked(0u) * bad).ok());
  CHECK_FALSE((bad - bad).ok());
  CHECK_FALSE(bad.round_up(8).ok());
  CHECK_FALSE(bad.value().has_value());
  CHECK_FALSE(bad.at_most(top));
  CHECK_FALSE(checked(-1).ok());
  CHECK(checked(1).ok());
}

TEST_CASE("checked: rounding up is arithmetic too", "[io]") {
  CHECK(checked(0u).round_up(8).value() == 0u);
  CHECK(checked(1u).round_up(8).value() == 8u);
  CHECK(checked(8u).round_up(8).value() == 8u);
  CHECK(checked(top - 7).round_up(8).value() == top - 7);
  CHECK_FALSE(checked(top - 6).round_up(8).ok());
  CHECK_FALSE(checked(5u).round_up(0).ok());
}

TEST_CASE("checked: narrowing gives the value or nothing", "[io]") {
  CHECK(checked(255u).as<std::uint8_t>() == 255);
  CHECK_FALSE(checked(256u).as<std::uint8_t>().has_value());
  CHECK(checked(127u).as<std::int8_t>() == 127);
  CHECK_FALSE(checked(128u).as<std::int8_t>().has_value());
  CHECK_FALSE(checked(std::uint64_t{1} << 31).as<int>().has_value());
  CHECK_FALSE(checked(top).as<std::int64_t>().has_value());
}
