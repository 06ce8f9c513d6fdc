// A program built with CUDA where there may be no GPU: the backend says why it can't be made, and the CPU runs on.
#include <modx/backend/cuda.hpp>
#include <modx/expert/linear.hpp>
#include <modx/optimizer/sgd.hpp>

#include "catch.hpp"
#include "support.hpp"
#include "zoo.hpp"

using namespace modx;

TEST_CASE("cuda: the backend runs or says in a sentence why not, and the CPU runs in any case", "[device]") {
  const auto said = support::message([] { cuda backend; });
  std::printf("%s\n", said.empty() ? "there is a device" : said.c_str());
  const bool one_sentence =
      support::contains(said, "modx: cuda: expected ") && support::contains(said, "or use modx::cpu)");
  CHECK((said.empty() || one_sentence));
  cpu b{1, 1};
  auto m = build(b, zoo::dense(), zoo::rows_of_20);
  const zoo::batch<float> data(16, zoo::rows_of_20, 1);
  const auto step = [&] { return train_step(m, optimizer::sgd{.lr = 0.1}, loss::cross_entropy{}, data.x, data.label); };
  const double first = step();
  for (int i = 0; i < 20; ++i) step();
  CHECK(step() < first);
}
