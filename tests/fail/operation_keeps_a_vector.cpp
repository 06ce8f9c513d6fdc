// expect: modx: what an operation keeps must be trivially destructible
#include <modx/backend/cpu.hpp>
#include <modx/ops.hpp>

void use() {
  modx::cpu backend;
  modx::tape<modx::cpu> t(backend);
  const auto x = t.input(backend.normal(2, 2));
  const std::vector<float> weights(2);
  t.record(x, [=](const float* dy) { x.backend().axpy(4, weights[0], dy, 1, x.accumulate().data); });
}
