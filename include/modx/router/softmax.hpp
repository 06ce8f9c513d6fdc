// p = softmax((x W + b) / temperature).   W: d x e.
#pragma once
#include <modx/module/linear.hpp>

namespace modx::router {

struct softmax {
  double temperature = 1;
  bool operator==(const softmax&) const = default;
  static constexpr const char* expert_columns[] = {"weight", "bias"};  // one column an expert

  template <Backend B>
  class bound {
    module::linear::bound<B> scores_;
    double temperature_;

    static double checked(double t) {
      if (!(t > 0)) throw error("router::softmax", "temperature > 0", std::to_string(t));
      return t;
    }

   public:
    bound(builder<B>& b, const softmax& s, shape io)
        : scores_(b, module::linear{}, io), temperature_(checked(s.temperature)) {}
    dense_routing<B> route(var<B> x) const {
      auto z = scores_.forward(x);
      if (temperature_ != 1) z = ops::scale(z, 1 / temperature_);
      return {{z}, {ops::softmax_rows(z)}};
    }
  };
};

}  // namespace modx::router
