// The shipped laws hold on the CUDA backend: policies know nothing of where they run.
#include <modx/laws.hpp>
#include <modx/modx.hpp>

#include "cuda/parity.hpp"

using namespace modx;

namespace {

using cuda64 = basic_cuda<double>;

}  // namespace

TEST_CASE("cuda: laws of modules and experts", "[laws]") {
  MODX_NEEDS_DEVICE();
  cuda64 b{1};
  CHECK(laws::of_module(b, module::linear{}, {.in = 4, .out = 3}).numbers > 0);
  CHECK(laws::of_module(b, module::mlp{.hidden = 5, .act = activation::gelu}, {.in = 3, .out = 2}).numbers > 0);
  CHECK(laws::of_module(b, module::mlp{.hidden = 5}, {.in = 3, .out = 2}).numbers > 0);
  CHECK(laws::of_module(b, module::conv2d{.channels = 3, .padding = 1, .relu = true, .pool = 2},
                        {.in = {5, 4, 2}, .out = {2, 2, 3}})
            .numbers > 0);
  CHECK(laws::of_module(b, module::residual{module::linear{}}, {.in = 3, .out = 3}).numbers > 0);
  CHECK(laws::of_expert(b, expert::linear{}, {.in = 3, .out = 2}, 3).numbers > 0);
  CHECK(laws::of_expert(b, expert::mlp{.hidden = 4, .act = activation::silu}, {.in = 3, .out = 2}, 3).numbers > 0);
  CHECK(laws::of_expert(b, expert::low_rank{.rank = 2}, {.in = 3, .out = 2}, 3).numbers > 0);
}

TEST_CASE("cuda: laws of routers, combiners and couplings", "[laws]") {
  MODX_NEEDS_DEVICE();
  cuda64 b{1};
  CHECK(laws::of_router(b, router::softmax{}, 3, 4).numbers > 0);
  CHECK(laws::of_router(b, router::mlp_softmax{.hidden = 3}, 3, 4).numbers > 0);
  CHECK(laws::of_router(b, router::uniform{}, 3, 4).numbers > 0);
  CHECK(laws::of_router(b, router::oracle{}, 3, 4).numbers > 0);
  CHECK(laws::of_router(b, router::top_k{.k = 2}, 3, 4).numbers > 0);
  CHECK(laws::of_router(b, router::top_k{.k = 1, .renormalize = false}, 3, 4).numbers > 0);
  CHECK(laws::of_combiner(b, combiner::softmax{}, 3, 2).numbers > 0);
  CHECK(laws::of_combiner(b, combiner::residual{.scale = 0.5}, 3, 2).numbers > 0);
  CHECK(laws::of_combiner(b, combiner::residual_sum{}, 3, 2).numbers > 0);
  CHECK(laws::of_combiner(b, combiner::uniform{}, 3, 2).numbers > 0);
  CHECK(laws::of_combiner(b, combiner::oracle{}, 3, 2).numbers > 0);
  CHECK(laws::of_coupling(b, coupling::none{}, 3, 2).numbers > 0);
  CHECK(laws::of_coupling(b, coupling::graph{}, 3, 2).numbers > 0);
  CHECK(laws::of_coupling(b, coupling::hypergraph{}, 3, 2).numbers > 0);
  CHECK(laws::of_coupling(b, coupling::ghost{.inner = coupling::graph{.layers = 1}, .ghosts = 1}, 3, 2).numbers > 0);
  CHECK(laws::of_combiner(b, combiner::projected_mean{}, 3, 2).numbers > 0);
}

TEST_CASE("cuda: laws of losses", "[laws]") {
  MODX_NEEDS_DEVICE();
  cuda64 b{1};
  CHECK(laws::of_loss(b, loss::cross_entropy{}, 3).numbers > 0);
  CHECK(laws::of_loss(b, loss::mse{}, 3).numbers > 0);
  CHECK(laws::of_loss(b, loss::load_balance{0.5}, 3).numbers > 0);
  CHECK(laws::of_loss(b, loss::router_z{0.5}, 3).numbers > 0);
  CHECK(laws::of_loss(b, loss::orthogonality{}, 3).numbers > 0);
}

TEST_CASE("cuda: laws of mixtures", "[laws]") {
  MODX_NEEDS_DEVICE();
  cuda64 b{1};
  const shape io{.in = 3, .out = 2};
  CHECK(
      laws::of_mixture(b, module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .n_experts = 3}, io)
          .numbers > 0);
  CHECK(
      laws::of_mixture(
          b, module::mixture{.experts = expert::mlp{.hidden = 3}, .router = router::top_k{.k = 2}, .n_experts = 3}, io)
          .numbers > 0);
  const module::mixture red{.base = module::linear{},
                            .experts = expert::linear{},
                            .router = router::softmax{},
                            .combiner = combiner::residual{.scale = 0.5},
                            .n_experts = 3};
  CHECK(laws::of_mixture(b, red, io).numbers > 0);
  CHECK(laws::zero_scale(b, red, io).numbers > 0);
  CHECK(laws::of_mixture(
            b, module::mixture{.experts = module::mlp{.hidden = 3}, .router = router::top_k{.k = 1}, .n_experts = 3},
            io)
            .numbers > 0);  // a module without a bank, expert by expert
}
