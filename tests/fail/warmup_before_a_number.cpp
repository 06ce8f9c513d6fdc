// expect: modx: schedule::warmup goes on with a Schedule: .then needs  double operator()(std::uint64_t step)
// const
#include <modx/schedule/warmup.hpp>

void use() { auto schedule = modx::schedule::warmup{.steps = 100, .then = 0.5}; }
