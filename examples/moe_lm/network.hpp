// The seven language models: token + position -> layers -> norm -> head; modes differ in the layer only.
#pragma once
#include <modx/modx.hpp>
#include <variant>

#include "options.hpp"

namespace moe_lm {

namespace m = modx::module;

// [layers]
/// x <- x + combine(couple(experts(x))): every expert is a whole transformer block and sees every token.
/// Experts hold the residual themselves; projected_mean ends in a norm, so a layer adds rows of length
/// sqrt(width) and the stream does not double.
template <class Coupling>
using coupled = m::residual<m::mixture<modx::expert::transformer_block, modx::router::uniform,
                                       modx::combiner::projected_mean, m::no_base, Coupling>>;
using uncoupled = coupled<modx::coupling::none>;
using gnn = coupled<modx::coupling::graph>;
using hgnn = coupled<modx::coupling::hypergraph>;
using ghost = coupled<modx::coupling::ghost<modx::coupling::hypergraph>>;
using dense = m::transformer_block<>;
using topk = m::transformer_block<m::mixture<modx::expert::mlp, modx::router::top_k>>;
// [/layers]

/// What the options make: a module like any other.
struct language_model {
  std::string mode = "gnn";
  std::size_t vocabulary = 256, length = 128, width = 64, heads = 4, layers = 2, experts = 4, hidden = 256;
  std::size_t coupling_layers = 2, top_k = 2, ghosts = 2, ghost_window = 50;
  modx::coupling::hypergraph::kind hyperedges = modx::coupling::hypergraph::kind::pairs;
  bool operator==(const language_model&) const = default;

  modx::extent output(modx::extent) const { return vocabulary; }
  bool block_experts() const { return mode != "dense" && mode != "topk"; }
  bool has_hypergraph() const { return mode == "hgnn" || mode == "orthogonal" || mode == "ghost"; }
  std::size_t all_experts() const { return experts + (mode == "ghost" ? ghosts : 0); }
  modx::coupling::hypergraph hypergraph() const { return {.edges = hyperedges, .layers = coupling_layers}; }
  template <class Coupling>
  moe_lm::coupled<Coupling> layer(const Coupling& c) const {
    return {.inner = {.experts = {.heads = heads, .hidden = hidden}, .coupling = c, .n_experts = experts}};
  }
  m::attention attention() const { return {.heads = heads}; }

  template <modx::Backend B>
  class bound {
    template <class Layer>
    using stack = modx::bound_t<m::repeat<Layer>, B>;
    using layers_type = std::variant<stack<uncoupled>, stack<gnn>, stack<hgnn>, stack<moe_lm::ghost>,
                                     stack<dense>, stack<topk>>;
    modx::bound_t<m::embedding, B> embedding_;
    layers_type layers_;
    modx::bound_t<m::layer_norm, B> norm_;
    modx::bound_t<m::linear, B> head_;

    template <class S>
    static modx::bound_t<S, B> make(modx::builder<B> b, const S& s, modx::shape io) {
      return {b, s, io};
    }
    static layers_type make_layers(modx::builder<B> b, const language_model& s) {
      const auto of = [&]<class L>(const L& layer) {
        return layers_type(std::in_place_type<stack<L>>, b, m::repeat<L>{layer, s.layers},
                           modx::shape{s.width, s.width});
      };
      if (s.mode == "uncoupled") return of(s.layer(modx::coupling::none{}));
      if (s.mode == "gnn") return of(s.layer(modx::coupling::graph{.layers = s.coupling_layers}));
      if (s.mode == "ghost")
        return of(s.layer(modx::coupling::ghost<modx::coupling::hypergraph>{.inner = s.hypergraph(),
                                                                            .ghosts = s.ghosts,
                                                                            .window = s.ghost_window,
                                                                            .residual_experts = true}));
      const m::mlp mlp{.hidden = s.hidden, .act = modx::activation::gelu};
      if (s.mode == "dense") return of(dense{.attention = s.attention(), .f = mlp});
      if (s.mode == "topk")
        return of(topk{.attention = s.attention(),
                       .f = {.experts = {.hidden = s.hidden, .act = modx::activation::gelu},
                             .router = {.k = s.top_k},
                             .n_experts = s.experts}});
      if (s.has_hypergraph()) return of(s.layer(s.hypergraph()));
      throw modx::error("language_model", "mode gnn, hgnn, orthogonal, ghost, uncoupled, dense or topk",
                        s.mode);
    }

   public:
    bound(modx::builder<B>& b, const language_model& s, modx::shape io)
        : embedding_(make(b.scope("embedding"),
                          m::embedding{.vocabulary = s.vocabulary, .positions = s.length}, {io.in, s.width})),
          layers_(make_layers(b.scope("layers"), s)),
          norm_(make(b.scope("norm"), m::layer_norm{}, {s.width, s.width})),
          head_(make(b.scope("head"), m::linear{}, {s.width, s.vocabulary})) {}

    /// The residual stream after `count` layers.
    modx::var<B> stream(modx::var<B> x, std::size_t count) const {
      return std::visit([&](const auto& l) { return l.forward_between(embedding_.forward(x), 0, count); },
                        layers_);
    }
    modx::var<B> forward(modx::var<B> x) const {
      const std::size_t all = std::visit([](const auto& l) { return l.size(); }, layers_);
      return head_.forward(norm_.forward(stream(x, all)));
    }
  };
};

}  // namespace moe_lm
