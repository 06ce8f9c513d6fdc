// A table of functions on the tape, each checked against central differences.
#pragma once
#include <functional>
#include <modx/laws/gradient.hpp>

#include "support.hpp"

namespace support {

using variable = modx::var<cpu64>;
using inputs = std::span<const variable>;
using function = std::function<variable(modx::tape<cpu64>&, inputs)>;

struct named_function {
  const char* name;
  function f;
};

/// Gradients of f at random inputs of these shapes, for a few seeds and one and three threads; `positive` makes the
/// inputs exp(normal).
inline void check_gradients(const named_function& op, std::initializer_list<modx::shape> shapes,
                            bool positive = false) {
  for (const int threads : {1, 3}) {
    cpu64 backend{1, threads};
    const auto report = modx::laws::retry({.seed = 1}, [&](std::uint64_t seed) {
      std::vector<modx::laws::argument> in;
      for (const auto& s : shapes) {
        const std::string name = "input " + std::to_string(in.size());
        auto m = modx::laws::draw(seed, name, s.in.size(), s.out.size());
        if (positive)
          for (double& x : m.data) x = std::exp(x);
        in.emplace_back(name, std::move(m), s.out);
      }
      return modx::laws::gradients(op.name, backend, in, {}, op.f, {}, seed);
    });
    if (report.numbers == 0) throw modx::error(op.name, "numbers to compare", "none");
  }
}

}  // namespace support
