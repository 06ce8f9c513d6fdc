// An own backend: the shipped one, counting its products.
#include <cstdio>
#include <modx/modx.hpp>

namespace mine {

// [policy]
/// Counts the multiply-adds of every product m x k times k x n.
struct counting : modx::cpu {
  std::size_t multiply_adds = 0;
  using modx::cpu::cpu;
  void gemm(std::span<const modx::gemm_task<float>> tasks) {
    for (const auto& t : tasks) multiply_adds += t.m * t.n * t.k;
    modx::cpu::gemm(tasks);
  }
  void gemm(const modx::gemm_task<float>& task) { gemm(std::span(&task, 1)); }
};
// [/policy]

}  // namespace mine

int main() {
  // [use]
  mine::counting backend{1};
  const auto x = backend.normal(512, 16);
  for (const std::size_t k : {1, 2, 4}) {
    const auto spec = modx::module::mixture{.experts = modx::expert::mlp{.hidden = 64},
                                            .router = modx::router::top_k{.k = k}, .n_experts = 4};
    auto model = modx::build(backend, spec, {.in = 16, .out = 16});
    backend.multiply_adds = 0;
    model.predict(x);
    std::printf("%zu of 4 experts awake: %zu multiply-adds\n", k, backend.multiply_adds);
  }
  // [/use]
}
