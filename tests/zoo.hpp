// Small architectures with a batch each: what allocation, determinism and aliveness are tested on.
#pragma once
#include <modx/backend/cpu.hpp>
#include <modx/combiner/projected_mean.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/coupling/ghost.hpp>
#include <modx/coupling/graph.hpp>
#include <modx/coupling/hypergraph.hpp>
#include <modx/expert/linear.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/module/conv2d.hpp>
#include <modx/module/flatten.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/mlp.hpp>
#include <modx/module/sequential.hpp>
#include <modx/router/softmax.hpp>
#include <modx/router/top_k.hpp>
#include <modx/router/uniform.hpp>
#include <modx/train.hpp>

namespace zoo {

using namespace modx;

inline auto mlp() { return module::mlp{.hidden = 33, .act = activation::gelu}; }
/// RED: a base, linear experts, a softmax router.
inline auto dense() {
  return module::mixture{.base = module::linear{}, .experts = expert::linear{}, .router = router::softmax{},
                         .combiner = combiner::residual{.scale = 0.5}, .n_experts = 5};
}
inline auto sparse() {
  return module::mixture{.experts = expert::mlp{.hidden = 24}, .router = router::top_k{.k = 2}, .n_experts = 4};
}
inline auto conv() {
  return module::sequential(module::conv2d{.channels = 5, .padding = 1, .relu = true, .pool = 2},
                            module::conv2d{.channels = 7, .padding = 1, .relu = true, .pool = 2}, module::flatten{},
                            module::linear{});
}

/// Experts in groups, read out by a projection.
inline auto grouped() {
  return module::mixture{.experts = expert::mlp{.hidden = 9}, .router = router::uniform{},
                         .combiner = combiner::projected_mean{}, .coupling = coupling::hypergraph{}, .n_experts = 4};
}
/// Experts that hear each other, and ghosts among them.
inline auto talking() {
  return module::mixture{.experts = expert::mlp{.hidden = 9}, .router = router::softmax{},
                         .coupling = coupling::ghost{.inner = coupling::graph{}, .ghosts = 2, .window = 4}, .n_experts = 3};
}

constexpr std::size_t classes = 6;
inline const shape rows_of_20{.in = 20, .out = classes}, images{.in = {8, 8, 2}, .out = classes};

/// f(name, spec, shape) for each of them.
template <class F>
void for_each(F&& f) {
  f("mlp", mlp(), rows_of_20);
  f("dense mixture", dense(), rows_of_20);
  f("top-k mixture", sparse(), rows_of_20);
  f("conv net", conv(), images);
  f("grouped experts", grouped(), rows_of_20);
}

/// A batch with labels, from the seed.
template <class T>
struct batch {
  matrix<T> x;
  std::vector<std::int32_t> label;

  batch(std::size_t n, const shape& io, std::uint64_t seed) : x(n, io.in.size()), label(n) {
    const random_stream values(seed, "batch"), labels(seed, "labels");
    for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = T(values.normal(i));
    for (std::size_t i = 0; i < n; ++i) label[i] = std::int32_t(labels.below(i, io.out.size()));
  }
};

}  // namespace zoo
