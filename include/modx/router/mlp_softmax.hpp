// p = softmax(mlp(x)).   The paper's "two-layer router".
#pragma once
#include <modx/module/mlp.hpp>

namespace modx::router {

struct mlp_softmax {
  std::size_t hidden = 64;
  activation act = activation::relu;
  bool operator==(const mlp_softmax&) const = default;
  static constexpr const char* expert_columns[] = {"down.weight", "down.bias"};  // one column an expert

  template <Backend B>
  class bound {
    module::mlp::bound<B> scores_;

   public:
    bound(builder<B>& b, const mlp_softmax& s, shape io)
        : scores_(b, module::mlp{.hidden = s.hidden, .act = s.act}, io) {}
    dense_routing<B> route(var<B> x) const {
      const auto z = scores_.forward(x);
      return {{z}, {ops::softmax_rows(z)}};
    }
  };
};

}  // namespace modx::router
