#include <cmath>
#include <modx/analysis/json.hpp>

#include "catch.hpp"

using namespace modx::analysis;

namespace {

bool near(double a, double b) { return std::abs(a - b) < 1e-9; }

confusion example() {
  confusion m(3);
  m.add(0, 0, 6);
  m.add(0, 1, 2);
  m.add(1, 0);
  m.add(1, 1, 3);
  m.add(1, 2, 4);
  return m;
}

}  // namespace

TEST_CASE("analysis/json: the metrics of a split over seeds") {
  confusion other = example();
  other.add(1, 1, 16);
  const nlohmann::ordered_json j = metrics_over_seeds({example(), other});
  CHECK(near(j.at("acc").at("mean").get<double>(), (9.0 / 16 + 25.0 / 32) / 2));
  CHECK(near(j.at("acc").at("sd").get<double>(), (25.0 / 32 - 9.0 / 16) / std::sqrt(2.0)));
  CHECK(j.at("acc").at("values").size() == 2);
  CHECK(j.at("per_class_f1").size() == 3);
  CHECK(near(j.at("per_class_f1")[0].at("values")[0].get<double>(), 0.8));
  CHECK(j.at("confusion")[1][1] == 3 + 19);
  CHECK(j.begin().key() == "acc");
  CHECK_THROWS_AS(metrics_over_seeds({}), modx::error);
  CHECK_THROWS_AS(metrics_over_seeds({confusion(2), confusion(3)}), modx::error);
}
