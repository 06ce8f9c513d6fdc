// y_e = the pre-norm transformer block of expert e (module::transformer_block with an MLP and layer norms); e
// of them run as grouped products, one attention over all heads, and norms in groups.
#pragma once
#include <modx/expert/bank.hpp>
#include <modx/module/transformer_block.hpp>

namespace modx::expert {

/// Whole-block experts: every expert sees every token, so they need a dense router.
struct transformer_block {
  std::size_t heads = 4;
  std::size_t hidden = 0;  // of the MLP; 0: 4 x width
  activation act = activation::gelu;
  bool causal = true;
  double eps = 1e-5;
  bool operator==(const transformer_block&) const = default;

  module::transformer_block<> spec(std::size_t width) const {
    return {.attention = {.heads = heads, .causal = causal},
            .f = {.hidden = hidden ? hidden : 4 * width, .act = act},
            .norm = {.eps = eps}};
  }

  template <Backend B>
  class bound : public module::transformer_block<>::bound<B> {
   public:
    bound(builder<B>& b, const transformer_block& s, shape io)
        : module::transformer_block<>::bound<B>(b, s.spec(io.in.size()), io) {}
  };

  template <Backend B>
  class bank {
    /// Gains and biases of a norm, one row an expert.
    struct norm {
      std::vector<parameter<B>*> gain, bias;
      void make(builder<B> b, std::size_t width) {
        gain.push_back(&b.make("weight", 1, width, init::constant(1)));
        bias.push_back(&b.make("bias", 1, width, init::zeros()));
      }
      static var<B> rows(tape<B>& t, const std::vector<parameter<B>*>& list) {
        auto* parts = t.template host<var<B>>(list.size());
        for (std::size_t i = 0; i < list.size(); ++i) parts[i] = t.use(*list[i]);
        return ops::concat_rows(std::span<const var<B>>(parts, list.size()));
      }
      var<B> forward(var<B> x, double eps) const {
        return ops::layer_norm(x, rows(x.on(), gain), rows(x.on(), bias), eps);
      }
      var<B> one(std::size_t i, var<B> x, double eps) const {
        return ops::layer_norm(x, x.on().use(*gain[i]), x.on().use(*bias[i]), eps);
      }
    };
    std::size_t count_;
    head_layout heads_;
    norm norm1_, norm2_;
    layer<B> in_, out_, up_, down_;
    activation act_;
    bool causal_;
    double eps_;

    static std::size_t checked(shape io, std::size_t experts) {
      expect_equal("expert::transformer_block", "columns out (as many as come in)", io.in, io.out);
      return experts;
    }

   public:
    bank(builder<B>& b, const transformer_block& s, shape io, std::size_t experts)
        : count_(checked(io, experts)),
          heads_(s.spec(io.in.size()).attention.layout(io.in.size())),
          in_(b, experts, "attention.qkv.weight", "attention.qkv.bias", io.in.size(), heads_.columns(),
              init::zeros()),
          out_(b, experts, "attention.out.weight", "attention.out.bias", heads_.queries(), io.in.size(),
               init::zeros()),
          up_(b, experts, "f.up.weight", "f.up.bias", io.in.size(), s.spec(io.in.size()).f.hidden),
          down_(b, experts, "f.down.weight", "f.down.bias", s.spec(io.in.size()).f.hidden, io.in.size()),
          act_(s.act),
          causal_(s.causal),
          eps_(s.eps) {
      for (std::size_t i = 0; i < experts; ++i) {
        norm1_.make(b.scope(i).scope("norm1"), io.in.size());
        norm2_.make(b.scope(i).scope("norm2"), io.in.size());
      }
    }
    std::size_t size() const { return count_; }
    var<B> forward(tokens<B> in) const {
      if (in.offsets)
        throw error("expert::transformer_block", "a dense router: attention needs whole sequences",
                    "tokens sorted by expert (top_k)");
      constexpr auto blocks = ops::detail::grouping::blocks;
      auto heads = heads_;
      heads.groups = count_;
      auto h = in_.forward(norm1_.forward(in.x, eps_), blocks, nullptr, activation::none);
      h = out_.forward(ops::attention(h, heads, causal_), blocks, nullptr, activation::none);
      h = ops::add_to_each(outputs<B>{h, count_}, in.x).y;
      const auto f = up_.forward(norm2_.forward(h, eps_), blocks, nullptr, act_);
      return ops::add(h, down_.forward(f, blocks, nullptr, activation::none));
    }
    var<B> one(std::size_t i, var<B> x) const {
      auto h = in_.one(i, norm1_.one(i, x, eps_), activation::none);
      h = ops::add(x, out_.one(i, ops::attention(h, heads_, causal_), activation::none));
      return ops::add(h, down_.one(i, up_.one(i, norm2_.one(i, h, eps_), act_), activation::none));
    }
  };
};

}  // namespace modx::expert
