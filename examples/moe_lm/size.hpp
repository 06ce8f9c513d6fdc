// Parameters and products of a model by formula (D = width, E = experts), and the MLP width that makes two
// equal.
#pragma once
#include "network.hpp"

namespace moe_lm {

/// Trained numbers of a model.
inline double parameters_of(const language_model& s) {
  const double d = double(s.width), h = double(s.hidden), e = double(s.all_experts()),
               k = double(s.coupling_layers);
  const double base = 2 * double(s.vocabulary) * d + double(s.length) * d + double(s.vocabulary) + 2 * d;
  const double mlp = 2 * d * h + h + d, block = 4 * d * d + 4 * d + 4 * d;
  double layer = block + mlp;
  if (s.mode == "topk") layer = block + d * e + e + e * mlp;
  if (s.block_experts()) {
    double coupling = s.mode == "uncoupled" ? 0 : k * (d * d + d);
    if (s.mode == "gnn" && s.experts > 1) coupling += k * (d * d + d + 2 * d + 1 + e * e);
    if (s.has_hypergraph()) {
      const auto edges = s.hypergraph().hyperedges(s.all_experts());
      std::vector<std::size_t> degree(s.all_experts());
      bool shared = false;  // the weight of an expert's only hyperedge cancels, and is no parameter
      for (const auto& edge : edges)
        for (const auto i : edge) shared = ++degree[i] > 1 || shared;
      if (shared) coupling += double(edges.size());
    }
    layer = e * (block + mlp) + coupling + d * d + d + 2 * d;
  }
  return base + double(s.layers) * layer;
}

/// Multiply-adds of one token's forward pass: products and causal attention over `length` tokens, half of
/// them on average.
inline double products_of(const language_model& s) {
  const double d = double(s.width), h = double(s.hidden), e = double(s.all_experts()),
               k = double(s.coupling_layers);
  const double attention = 4 * d * d + double(s.length) * d;
  double layer = attention + 2 * d * h;
  if (s.mode == "topk") layer = attention + d * e + double(s.top_k) * 2 * d * h;
  if (s.block_experts()) layer = e * (attention + 2 * d * h) + d * d;
  if (s.has_hypergraph()) layer += k * (e * d * d + e * e * d);
  if (s.mode == "gnn") layer += k * (2 * e * d * d + e * e * d + 2 * e * d);
  return double(s.vocabulary) * d + double(s.layers) * layer;
}

inline language_model model_of(const options& o, std::size_t vocabulary) {
  using kind = modx::coupling::hypergraph::kind;
  language_model s{.mode = o.mode,
                   .vocabulary = vocabulary,
                   .length = o.length,
                   .width = o.width,
                   .heads = o.heads,
                   .layers = o.layers,
                   .experts = o.experts,
                   .hidden = o.hidden ? o.hidden : 4 * o.width,
                   .coupling_layers = o.coupling_layers,
                   .top_k = o.top_k,
                   .ghosts = o.ghosts,
                   .ghost_window = o.ghost_window,
                   .hyperedges = o.hyperedges == "pairs"      ? kind::pairs
                                 : o.hyperedges == "triplets" ? kind::triplets
                                                              : kind::all};
  if (o.hidden || o.match == "nothing") return s;
  const auto size = o.match == "parameters" ? parameters_of : products_of;
  language_model like = s, none = s, one = s;
  like.mode = "hgnn", none.hidden = 0, one.hidden = 1;
  const double hidden = (size(like) - size(none)) / (size(one) - size(none));
  s.hidden = std::size_t(std::llround(std::fmax(1, hidden)));
  return s;
}

}  // namespace moe_lm
