// early_stopping: strict improvement, patience, and going on from saved counts.
#include <limits>
#include <modx/early_stopping.hpp>

#include "catch.hpp"

using modx::early_stopping;

TEST_CASE("a stage stops after `patience` epochs without a better loss") {
  early_stopping s(2);
  CHECK(s.improved(1.0));
  CHECK_FALSE(s.stop());
  CHECK_FALSE(s.improved(1.0));  // equal is not better
  CHECK_FALSE(s.stop());
  CHECK(s.improved(0.5));  // the count starts again
  CHECK(s.bad_epochs() == 0);
  CHECK_FALSE(s.improved(0.6));
  CHECK_FALSE(s.stop());
  CHECK_FALSE(s.improved(0.7));
  CHECK(s.stop());
  CHECK(s.best() == 0.5);
  CHECK(s.best_epoch() == 3);
  CHECK(s.epoch() == 5);
}

TEST_CASE("patience 0 never stops, and nan is never better") {
  early_stopping s(0);
  CHECK(s.improved(3));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(s.improved(std::numeric_limits<double>::quiet_NaN()));
  CHECK_FALSE(s.stop());
  CHECK(s.best_epoch() == 1);
  CHECK(s.bad_epochs() == 100);
  CHECK_FALSE(early_stopping(1).stop());  // before any epoch
}

TEST_CASE("made from its own counts it goes on as before") {
  const double losses[] = {3, 2, 2.5, 2.4, 1, 1.5, 1.5, 1.5, 0.1};
  for (std::size_t cut = 0; cut <= 8; ++cut) {
    early_stopping whole(3), first(3);
    for (std::size_t i = 0; i < cut; ++i) first.improved(losses[i]), whole.improved(losses[i]);
    early_stopping second(3, first.best(), first.best_epoch(), first.epoch());
    CHECK(second.stop() == whole.stop());
    for (std::size_t i = cut; i < 9; ++i) {
      CHECK(second.improved(losses[i]) == whole.improved(losses[i]));
      CHECK(second.stop() == whole.stop());
      CHECK(second.bad_epochs() == whole.bad_epochs());
    }
  }
}
