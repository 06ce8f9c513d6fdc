// Six architectures in one variant, each built and trained.
#include <modx/modx.hpp>
#include <variant>

namespace m = modx::module;
using modx::combiner::residual;
using modx::router::top_k;

using dense = m::mlp;
using moe = m::mixture<modx::expert::mlp, top_k>;
using soft_moe = m::mixture<modx::expert::mlp, modx::router::softmax>;
using red = m::mixture<modx::expert::linear, modx::router::softmax, residual, m::linear>;
using low_rank = m::mixture<modx::expert::low_rank, modx::router::mlp_softmax, residual, m::linear>;
using uniform = m::mixture<modx::expert::linear, modx::router::uniform, modx::combiner::uniform>;
using any = std::variant<dense, moe, soft_moe, red, low_rank, uniform>;

int main(int argc, char**) {
  const any chosen[] = {dense{}, moe{}, soft_moe{}, red{}, low_rank{}, uniform{}};
  modx::cpu backend{1, 1};
  const auto x = backend.normal(32, 4);
  const std::vector<std::int32_t> labels(32, 1);
  double loss = 0;
  std::visit(
      [&](const auto& spec) {
        auto model = modx::build(backend, spec, {.in = 4, .out = 3});
        for (int i = 0; i < 3; ++i)
          loss = modx::train_step(model, modx::optimizer::adamw{}, modx::loss::cross_entropy{}, x, labels);
      },
      chosen[argc % 6]);
  return loss > 0 ? 0 : 1;
}
