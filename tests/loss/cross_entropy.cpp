// loss::cross_entropy: laws, values by hand, extreme logits, errors.
#include <modx/laws/loss.hpp>
#include <modx/loss/cross_entropy.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::loss::cross_entropy;
static_assert(modx::Loss<cross_entropy, cpu64, modx::labels> && modx::Loss<cross_entropy, modx::cpu, modx::labels>);
static_assert(!modx::Loss<cross_entropy, cpu64, modx::var<cpu64>>);

TEST_CASE("loss::cross_entropy obeys the laws of losses") {
  cpu64 backend{1, 1};
  for (const std::size_t classes : {1, 2, 5, 33})
    for (const std::size_t n : {1, 7})
      CHECK(modx::laws::of_loss(backend, cross_entropy{}, classes, 3, {.seed = classes, .tokens = n}).numbers > 1);
}

TEST_CASE("loss::cross_entropy computes -mean log softmax(y)[label]") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto loss = [&](const modx::matrix<double>& y, std::vector<std::int32_t> label) {
    return cross_entropy{}(t.input(y), modx::labels{t.input(modx::ids(label)), label.size()}).item();
  };
  CHECK(near(loss(rows({{0, 0, 0, 0}}), {2}), std::log(4.0)));
  CHECK(near(loss(rows({{0, std::log(3.0)}, {0, 0}}), {1, 0}), (std::log(4 / 3.) + std::log(2.0)) / 2));
  CHECK(loss(rows({{1e4, 0}}), {0}) == 0);
  CHECK(near(loss(rows({{1e4, 0}}), {1}), 1e4));
  CHECK(near(loss(rows({{-1e300, -1e300}}), {1}), std::log(2.0)));
}

TEST_CASE("loss::cross_entropy says what is wrong") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto y = t.input(modx::matrix<double>(2, 3));
  for (const std::int32_t bad : {-1, 3, 1000000}) {
    const std::vector<std::int32_t> label = {0, bad};
    CHECK(contains(message([&] { cross_entropy{}(y, modx::labels{t.input(modx::ids(label)), 2}); }),
                   "cross_entropy, label of token 1: expected 0 <= label < 3, found " + std::to_string(bad)));
  }
  const std::vector<std::int32_t> three = {0, 0, 0};
  CHECK(contains(message([&] { cross_entropy{}(y, modx::labels{t.input(modx::ids(three)), 3}); }),
                 "cross_entropy: expected 2 labels, found 3"));
  CHECK(contains(message([&] { cross_entropy{}(t.input(modx::matrix<double>(0, 3)), modx::labels{}); }),
                 "cross_entropy: expected tokens > 0, found 0"));
}
