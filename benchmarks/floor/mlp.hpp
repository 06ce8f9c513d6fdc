// The MLP of train_step.cpp, 784-256-256-10, everything preallocated.
#pragma once
#include "layers.hpp"

namespace eigen_floor {

struct mlp {
  static constexpr Index n = 128, in = 784;
  dense layer[3] = {{in, 256}, {256, 256}, {256, 10}};
  matrix x{n, in}, a1{n, 256}, a2{n, 256}, z{n, 10}, da1{n, 256}, da2{n, 256}, dz{n, 10};

  /// f(modx's name, parameter).
  template <class F>
  void each(F f) {
    f("0.weight", layer[0].w), f("0.bias", layer[0].b), f("1.weight", layer[1].w), f("1.bias", layer[1].b);
    f("2.weight", layer[2].w), f("2.bias", layer[2].b);
  }
  void forward() {
    layer[0].forward(x, a1, true);
    layer[1].forward(a1, a2, true);
    layer[2].forward(a2, z, false);
  }
  template <class O>
  void step(const std::vector<std::int32_t>& label, O& optimizer) {
    forward();
    cross_entropy_gradient(z, label, dz);
    layer[2].backward(a2, dz, da2);
    mask(a2, da2);
    layer[1].backward(a1, da2, da1);
    mask(a1, da1);
    layer[0].backward(x, da1);
    optimizer.next();
    each([&](const char*, parameter& p) { optimizer.update(p); });
  }
};

}  // namespace eigen_floor
