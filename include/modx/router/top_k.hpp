// The k experts with the largest scores z = x W + b work; ties go to the lowest index.
// Weights: softmax over the k scores (Mixtral), or the k probabilities of softmax(z) as they are (Switch, k = 1).
#pragma once
#include <modx/module/linear.hpp>

namespace modx::router {

struct top_k {
  std::size_t k = 2;
  bool renormalize = true;
  bool operator==(const top_k&) const = default;
  static constexpr const char* expert_columns[] = {"weight", "bias"};  // one column an expert

  template <Backend B>
  class bound {
    module::linear::bound<B> scores_;
    std::size_t k_, experts_;
    bool renormalize_;

    static shape checked(const top_k& s, shape io) {
      if (s.k == 0 || s.k > io.out)
        throw error("router::top_k", "1 <= k <= " + std::to_string(io.out.size()) + " experts",
                    "k = " + std::to_string(s.k));
      return io;
    }

   public:
    bound(builder<B>& b, const top_k& s, shape io)
        : scores_(b, module::linear{}, checked(s, io)), k_(s.k), experts_(io.out),
          renormalize_(s.renormalize) {}
    top_k_routing<B> route(var<B> x) const {
      const auto z = scores_.forward(x);
      const auto p = ops::softmax_rows(z);
      const auto* id = ops::top_k(z, k_);
      const auto chosen = ops::gather_columns(renormalize_ ? z : p, id, k_);
      const auto w = renormalize_ ? ops::softmax_rows(chosen) : chosen;
      return {{z}, {p}, {w}, id, ops::sort_by_expert(x.on(), id, x.rows(), k_, experts_)};
    }
  };
};

}  // namespace modx::router
