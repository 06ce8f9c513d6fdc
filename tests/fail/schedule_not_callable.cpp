// expect: modx: a Schedule is comparable and needs  double operator()(std::uint64_t step) const
#include <modx/backend/cpu.hpp>
#include <modx/optimizer/scheduled.hpp>
#include <modx/optimizer/sgd.hpp>

struct halved {
  bool operator==(const halved&) const = default;
  double at(std::uint64_t step) const { return 1 / double(step + 1); }
};

void use() { auto slower = modx::optimizer::scheduled{modx::optimizer::sgd{}, halved{}}; }
