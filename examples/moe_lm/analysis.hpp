// What a trained model says about itself: who hears whom, weights of hyperedges.
#pragma once
#include "trainer.hpp"

namespace moe_lm {

/// softplus(weights) of each hyperedge of a layer; none where nothing is learnt.
inline std::vector<double> hyperedge_weights(trainer::model_type& model, std::size_t layer) {
  std::vector<double> out;
  for (auto* p : model.parameters())
    if (p->name() == "layers." + std::to_string(layer) + ".coupling.weights")
      for (const float w : p->host().data) out.push_back(std::log1p(std::exp(double(w))));
  return out;
}

/// Layer's e x e matrix of who hears whom: sigmoid(adjacency) of each round of a graph, P of a hypergraph.
inline std::vector<grid> connections(trainer::model_type& model, std::size_t layer) {
  const auto& s = model.spec();
  const std::size_t e = s.all_experts();
  const std::string path = "layers." + std::to_string(layer) + ".coupling.";
  std::vector<grid> out;
  if (s.mode == "gnn" && e > 1) {
    for (std::size_t k = 0; k < s.coupling_layers; ++k) {
      const auto a = model.find(path + std::to_string(k) + ".adjacency").host();
      grid g(e, std::vector<double>(e, NAN));  // nobody hears oneself this way
      for (std::size_t i = 0; i < e; ++i)
        for (std::size_t j = 0; j < e; ++j)
          if (i != j) g[i][j] = 1 / (1 + std::exp(-double(a(i, j))));
      out.push_back(std::move(g));
    }
  } else if (s.has_hypergraph()) {
    const auto edges = s.hypergraph().hyperedges(e);
    auto w = hyperedge_weights(model, layer);
    w.resize(edges.size(), 1.0);
    std::vector<double> degree(e);
    grid g(e, std::vector<double>(e));
    for (std::size_t q = 0; q < edges.size(); ++q)
      for (const auto i : edges[q]) {
        degree[i] += w[q];
        for (const auto j : edges[q]) g[i][j] += w[q] / double(edges[q].size());
      }
    for (std::size_t i = 0; i < e; ++i)
      for (double& v : g[i]) v /= degree[i] > 0 ? degree[i] : 1;
    out.push_back(std::move(g));
  }
  return out;
}

}  // namespace moe_lm
