// expect: modx: a Schedule is comparable and needs  double operator()(std::uint64_t step) const
#include <modx/backend/cpu.hpp>
#include <modx/optimizer/scheduled.hpp>
#include <modx/optimizer/sgd.hpp>

void use() { auto slower = modx::optimizer::scheduled{modx::optimizer::sgd{}, 0.5}; }
