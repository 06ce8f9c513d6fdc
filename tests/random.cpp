// Counter-based random numbers: known answers, independence of order, ranges, shuffles.
#include <algorithm>
#include <Random123/philox.h>
#include <modx/random.hpp>
#include <vector>

#include "catch.hpp"

using modx::random_stream;

TEST_CASE("the generator is Philox4x32-10 with the published answers") {
  // Random123's known answers: philox4x32 10, counter and key of zeros, and of ones.
  const auto zeros = r123::Philox4x32()({{0, 0, 0, 0}}, {{0, 0}});
  CHECK(std::vector<std::uint32_t>{zeros[0], zeros[1], zeros[2], zeros[3]} ==
        std::vector<std::uint32_t>{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  const std::uint32_t f = 0xffffffffu;
  const auto ones = r123::Philox4x32()({{f, f, f, f}}, {{f, f}});
  CHECK(std::vector<std::uint32_t>{ones[0], ones[1], ones[2], ones[3]} ==
        std::vector<std::uint32_t>{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
}

TEST_CASE("a number depends on seed, purpose, step and place only") {
  const random_stream a(1, "noise"), again(1, "noise"), seed(2, "noise"), purpose(1, "dropout"), step(1, "noise", 1);
  for (const std::uint64_t i : {0ull, 1ull, 5ull, 1ull << 40}) {
    CHECK(a.word(i) == again.word(i));
    CHECK(a.word(i) != seed.word(i));
    CHECK(a.word(i) != purpose.word(i));
    CHECK(a.word(i) != step.word(i));
  }
  std::uint32_t block[4];
  a.words(3, block);
  for (std::uint64_t i = 0; i < 4; ++i) CHECK(a.word(12 + i) == block[i]);
  CHECK(random_stream(1, "noise", 1ull << 32).word(0) != random_stream(1, "noise", 0).word(0));
}

TEST_CASE("names hash as they always did: seeds keep their meaning") {
  CHECK(modx::name_hash("") == 1469598103934665603ull);
  CHECK(modx::name_hash("a") == 0x44bd8ad473cd9906ull);
  CHECK(modx::name_hash("foobar") == 0x88fad7c0a8ff07f2ull);
  const random_stream r(1, "noise", 2);
  CHECK(r.word(0) == 3094905551u);
}

TEST_CASE("draws have the distribution they are called after") {
  const random_stream r(7, "draws");
  const std::uint64_t n = 40000;
  double mean = 0, square = 0, normal = 0, normal_square = 0;
  std::vector<std::size_t> count(7);
  for (std::uint64_t i = 0; i < n; ++i) {
    const double u = r.uniform(i), g = r.normal(i);
    REQUIRE((u >= 0 && u < 1));
    REQUIRE(std::isfinite(g));
    mean += u, square += u * u, normal += g, normal_square += g * g;
    const auto k = r.below(i, 7);
    REQUIRE(k < 7);
    ++count[std::size_t(k)];
  }
  CHECK(std::fabs(mean / double(n) - 0.5) < 0.01);
  CHECK(std::fabs(square / double(n) - 1 / 3.0) < 0.01);
  CHECK(std::fabs(normal / double(n)) < 0.02);
  CHECK(std::fabs(normal_square / double(n) - 1) < 0.03);
  for (const auto c : count) CHECK(std::fabs(double(c) - double(n) / 7) < 300);
  CHECK(r.below(0, 1) == 0);
}

TEST_CASE("a shuffle is a permutation, by the stream alone") {
  std::vector<int> a(100), b(100), none, one = {5};
  for (int i = 0; i < 100; ++i) a[std::size_t(i)] = b[std::size_t(i)] = i;
  modx::shuffle(a, random_stream(1, "shuffle"));
  modx::shuffle(b, random_stream(1, "shuffle"));
  CHECK(a == b);
  CHECK_FALSE(std::is_sorted(a.begin(), a.end()));
  modx::shuffle(b, random_stream(2, "shuffle"));
  CHECK(a != b);
  std::sort(a.begin(), a.end());
  for (int i = 0; i < 100; ++i) CHECK(a[std::size_t(i)] == i);
  modx::shuffle(none, random_stream(1, "shuffle"));
  modx::shuffle(one, random_stream(1, "shuffle"));
  CHECK(one == std::vector<int>{5});
  std::vector<std::size_t> first(4);  // every element comes first equally often
  for (std::uint64_t s = 0; s < 4000; ++s) {
    std::vector<int> v = {0, 1, 2, 3};
    modx::shuffle(v, random_stream(s, "fair"));
    ++first[std::size_t(v[0])];
  }
  for (const auto c : first) CHECK(std::fabs(double(c) - 1000) < 120);
}
