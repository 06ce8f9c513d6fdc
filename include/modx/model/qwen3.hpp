// Qwen3 (Qwen team 2025, arXiv 2505.09388): token ids n x 1 to logits n x vocabulary.  RMS norms before attention and SwiGLU,
// grouped key heads with normalised queries and keys, rotary positions, a head that may be the table of embeddings.
#pragma once
#include <modx/module/embedding.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/repeat.hpp>
#include <modx/module/transformer_block.hpp>

namespace modx {

/// The architecture; the defaults are Qwen3-0.6B's.
struct qwen3 {
  std::size_t vocabulary = 151936, width = 1024, hidden = 3072, blocks = 28;
  std::size_t heads = 16, kv_heads = 8, head_dim = 128;
  double rotary_base = 1e6, eps = 1e-6;
  bool attention_bias = false;
  bool tied = true;  // logits = h E^T, E the embeddings
  bool operator==(const qwen3&) const = default;

  using block_spec = module::transformer_block<module::swiglu, module::rms_norm>;
  extent output(extent) const { return vocabulary; }
  shape io() const { return {.in = 1, .out = vocabulary}; }
  block_spec block() const {
    return {.attention = {.heads = heads, .kv_heads = kv_heads, .head_dim = head_dim, .bias = attention_bias,
                          .rotary_base = rotary_base, .normalised = true, .eps = eps},
            .f = {.hidden = hidden},
            .norm = {.eps = eps}};
  }

  /// Hidden states: 0 are the embeddings, i those after block i, blocks() + 1 those after the last norm.
  template <Backend B>
  class bound {
    module::embedding::bound<B> embedding_;
    typename module::repeat<block_spec>::template bound<B> blocks_;
    module::rms_norm::bound<B> norm_;
    parameter<B>* head_;  // null: tied

    template <class M, class S>
    static M make(builder<B> b, const S& s, shape io) {
      return M(b, s, io);
    }

   public:
    bound(builder<B>& b, const qwen3& s, shape io)
        : embedding_(make<module::embedding::bound<B>>(b.scope("embedding"), module::embedding{.vocabulary = s.vocabulary},
                                                       shape{io.in, s.width})),
          blocks_(make<decltype(blocks_)>(b.scope("blocks"), module::repeat<block_spec>{.inner = s.block(), .count = s.blocks},
                                          shape{s.width, s.width})),
          norm_(make<module::rms_norm::bound<B>>(b.scope("norm"), module::rms_norm{.eps = s.eps}, shape{s.width, s.width})),
          head_(s.tied ? nullptr : &b.make("head.weight", s.vocabulary, s.width, init::normal(0.02))) {
      expect_width("qwen3", io.out, s.vocabulary);
    }
    std::size_t blocks() const { return blocks_.size(); }
    /// From hidden states `from` to hidden states `to`; x of 0 are those of embed().
    var<B> hidden_between(var<B> x, std::size_t from, std::size_t to) const {
      if (from > to || to > blocks() + 1)
        throw error("qwen3", "hidden states from <= to <= " + std::to_string(blocks() + 1),
                    std::to_string(from) + " to " + std::to_string(to));
      x = blocks_.forward_between(x, from < blocks() ? from : blocks(), to < blocks() ? to : blocks());
      return to == blocks() + 1 && from != to ? norm_.forward(x) : x;
    }
    var<B> embed(var<B> x) const { return embedding_.forward(x); }
    /// Logits of final hidden states.
    var<B> logits(var<B> h) const {
      return ops::matmul_transposed(h, head_ ? h.on().use(*head_) : embedding_.table(h.on()));
    }
    var<B> forward(var<B> x) const { return logits(hidden_between(embed(x), 0, blocks() + 1)); }
  };
};

}  // namespace modx
