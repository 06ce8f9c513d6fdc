// h = x + attention(norm_1(x));  y = h + f(norm_2(h)).   The pre-norm block of GPT-2, or of Llama by its
// parts.
#pragma once
#include <modx/module/attention.hpp>
#include <modx/module/layer_norm.hpp>
#include <modx/module/mlp.hpp>
#include <modx/module/rms_norm.hpp>
#include <modx/module/swiglu.hpp>

namespace modx::module {

/// transformer_block{.attention = {.heads = 4}, .f = mlp{.hidden = 1024, .act = activation::gelu}} is
/// GPT-2's; .f = swiglu{...} and .norm = rms_norm{} make it Llama's.
template <class F = mlp, class Norm = layer_norm>
struct transformer_block {
  module::attention attention{};
  F f{};
  Norm norm{};
  bool operator==(const transformer_block&) const = default;

  extent output(extent in) const { return in; }

  template <Backend B>
  class bound {
    static_assert(check_module<F, B>());
    static_assert(check_module<Norm, B>());
    accepted_t<Norm, B, Module<Norm, B>> norm1_;
    module::attention::bound<B> attention_;
    accepted_t<Norm, B, Module<Norm, B>> norm2_;
    accepted_t<F, B, Module<F, B>> f_;

    template <class M, class S>
    static M make(builder<B> b, const S& s, shape io) {
      expect_equal("transformer_block", "columns out (as many as come in)", io.in, io.out);
      return M(b, s, io);
    }

   public:
    bound(builder<B>& b, const transformer_block& s, shape io)
        : norm1_(make<decltype(norm1_)>(b.scope("norm1"), s.norm, io)),
          attention_(make<decltype(attention_)>(b.scope("attention"), s.attention, io)),
          norm2_(make<decltype(norm2_)>(b.scope("norm2"), s.norm, io)),
          f_(make<decltype(f_)>(b.scope("f"), s.f, io)) {}
    var<B> forward(var<B> x) const {
      const auto h = ops::add(x, attention_.forward(norm1_.forward(x)));
      return ops::add(h, f_.forward(norm2_.forward(h)));
    }
  };
};

}  // namespace modx::module
