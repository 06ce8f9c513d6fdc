// red_arithmetic with linear heads and experts: addition.
#include "run.hpp"

int red_arithmetic::run_linear(modx::cpu& backend, const options& o, const red::task& task, backbone<modx::cpu>* loaded,
                               std::chrono::steady_clock::time_point start, modx::io::progress& bar) {
  return run_with(backend, o, task, red::parts<>{.experts = task.domain_count()}, loaded, start, bar);
}
