// The same bits for any number of threads, and run to run.
#include "catch.hpp"
#include "runs.hpp"

using namespace red_test;
using modx::test::temp_folder;

TEST_CASE("every tensor of a run is the same for 1, 2, 3 and 4 threads, and run to run", "[determinism]") {
  const auto& reference = reference_run();  // 2 threads
  const auto splits = modx::test::get(reference / "splits.json");
  for (const char* threads : {"2", "1", "3", "4"}) {
    CAPTURE(threads);
    const temp_folder folder;
    finish(small_run(folder / "run") + arguments{"--threads", threads});
    CHECK(weight_differences(reference, folder / "run", true) == std::vector<std::string>{});
    CHECK(metrics_without_times(folder / "run") == metrics_without_times(reference));
    CHECK(modx::test::get(folder / "run" / "splits.json") == splits);
  }
}

TEST_CASE("a seed's results do not depend on the seeds before it", "[determinism]") {
  const temp_folder folder;
  finish(small_run(folder / "run", "1") + arguments{"--seed", "43"});
  CHECK(weight_differences(reference_run() / "seed-43", folder / "run" / "seed-43", true) == std::vector<std::string>{});
  CHECK(tensor_differences(reference_run() / "seed-42" / "router.safetensors", folder / "run" / "seed-43" / "router.safetensors")
            .size() == 2);  // and another seed gives other weights
}
