// Host matrices: row-major, zero at first, never too large.
#include <modx/matrix.hpp>

#include "catch.hpp"
#include "support.hpp"

using modx::matrix;

TEST_CASE("a matrix is row-major and starts at 0") {
  matrix<float> m(2, 3);
  CHECK(m.data == std::vector<float>(6, 0.f));
  m(1, 2) = 5;
  m.row(0)[1] = 7;
  CHECK(m.data == std::vector<float>{0, 7, 0, 0, 0, 5});
  const auto& same = m;
  CHECK(same(1, 2) == 5);
  CHECK(same.row(1).size() == 3);
  CHECK(same.row(1)[2] == 5);
  CHECK(matrix<float>() == matrix<float>(0, 0));
  CHECK(matrix<float>(2, 3) != matrix<float>(3, 2));
  CHECK(support::contains(support::message([] { matrix<float>(~std::size_t(0), 2); }),
                          "matrix: expected a size below 2^48"));
}
