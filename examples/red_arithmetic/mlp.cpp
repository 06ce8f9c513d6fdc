// red_arithmetic with MLPs of 4 d hidden columns as heads and experts: mixed arithmetic and operations.
#include "run.hpp"

int red_arithmetic::run_mlp(modx::cpu& backend, const options& o, const red::task& task, std::size_t width, backbone<modx::cpu>* loaded,
                            std::chrono::steady_clock::time_point start, modx::io::progress& bar) {
  const red::parts<modx::module::mlp, modx::expert::mlp> parts{.head = {.hidden = 4 * width, .act = modx::activation::gelu},
                                                               .expert = {.hidden = 4 * width, .act = modx::activation::gelu},
                                                               .experts = task.domain_count()};
  return run_with(backend, o, task, parts, loaded, start, bar);
}
