// The fused cross-entropy on the tape: equal to the composed one, gradient scaled by what comes back.
#include <modx/ops/experts.hpp>
#include <modx/ops/loss.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;

TEST_CASE("cross_entropy has a true gradient, also when it is used twice and squared") {
  static const std::vector<std::int32_t> label = {2, 0, 1, 1};
  check_gradients({"cross_entropy", [](auto& t, inputs x) {
                     const auto* id = t.input(modx::ids(label));
                     return ops::square(ops::cross_entropy(x[0], id)) + ops::cross_entropy(2.0 * x[0], id);
                   }}, {{4, 3}});
}

TEST_CASE("cross_entropy equals log-softmax, picked and averaged") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const auto m = modx::laws::draw(1, "logits", 9, 33, 3);
  const auto label = modx::laws::draw_ids(1, "labels", 9, 33);
  const auto x = t.input(m.data, 9, 33, true), y = t.input(m.data, 9, 33, true);
  const auto* id = t.input(modx::ids(label));
  const auto fused = ops::cross_entropy(x, id);
  const auto composed = -ops::mean(ops::pick_expert(modx::outputs<cpu64>{ops::log_softmax_rows(y), 33}, id));
  CHECK(near(fused.item(), composed.item()));
  t.backward(fused + composed);
  for (std::size_t i = 0; i < m.data.size(); ++i) CHECK(near(x.gradient()[i], y.gradient()[i]));
}
