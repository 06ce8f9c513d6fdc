// The MoE layer of train_step.cpp: d = 256, f = 1024, 8 ReLU experts, 2 awake, 1024 tokens; everything
// preallocated.
#pragma once
#include <array>
#include <string>

#include "layers.hpp"

namespace eigen_floor {

/// y = sum over the two largest logits of softmax(those two) times relu(x U + b) V + c of that expert.
struct moe {
  static constexpr Index n = 1024, d = 256, f = 1024, e = 8, k = 2;
  dense router{d, e};
  std::vector<dense> up = std::vector<dense>(e, dense(d, f)), down = std::vector<dense>(e, dense(f, d));
  matrix x{n, d}, y{n, d}, dy{n, d}, dx{n, d}, z{n, e}, dz{n, e}, w{n, k}, dw{n, k};
  matrix xs{n * k, d}, h{n * k, f}, ys{n * k, d}, dxs{n * k, d}, dh{n * k, f},
      dys{n * k, d};                                                                     // sorted by expert
  std::vector<Index> expert = std::vector<Index>(n * k), place = expert, slot = expert;  // slot: t k + rank
  std::array<Index, e + 1> offset{};

  /// f(modx's name, parameter).
  template <class F>
  void each(F visit) {
    visit("router.weight", router.w), visit("router.bias", router.b);
    for (std::size_t i = 0; i < up.size(); ++i) {
      const std::string own = "experts." + std::to_string(i);
      visit(own + ".up.weight", up[i].w), visit(own + ".up.bias", up[i].b);
      visit(own + ".down.weight", down[i].w), visit(own + ".down.bias", down[i].b);
    }
  }
  void route() {
    router.forward(x, z, false);
    offset.fill(0);
    for (Index t = 0; t < n; ++t) {
      Index best, second = 0;
      const float z0 = z.row(t).maxCoeff(&best);
      float z1 = -INFINITY;
      for (Index i = 0; i < e; ++i)
        if (i != best && z(t, i) > z1) z1 = z(t, second = i);
      w(t, 1) = 1 / (1 + std::exp(z0 - z1));
      w(t, 0) = 1 - w(t, 1);
      expert[std::size_t(t * k)] = best, expert[std::size_t(t * k + 1)] = second;
      ++offset[std::size_t(best + 1)], ++offset[std::size_t(second + 1)];
    }
    for (std::size_t i = 0; i + 1 < offset.size(); ++i) offset[i + 1] += offset[i];
    auto next = offset;
    for (std::size_t s = 0; s < slot.size(); ++s) {
      place[s] = next[std::size_t(expert[s])]++;
      slot[std::size_t(place[s])] = Index(s);
    }
  }
  /// f(expert, its first sorted row, its rows), experts over threads: each product inside is Eigen's on one
  /// thread.
  template <class F>
  void each_expert(F run) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(Eigen::nbThreads())
    for (std::size_t i = 0; i < std::size_t(e); ++i) run(i, offset[i], offset[i + 1] - offset[i]);
  }
  void forward() {
    route();
    each_expert([&](std::size_t i, Index first, Index rows) {
      for (Index r = first; r < first + rows; ++r) xs.row(r) = x.row(slot[std::size_t(r)] / k);
      up[i].forward(xs.middleRows(first, rows), h.middleRows(first, rows), true);
      down[i].forward(h.middleRows(first, rows), ys.middleRows(first, rows), false);
    });
#pragma omp parallel for schedule(static) num_threads(Eigen::nbThreads())
    for (Index t = 0; t < n; ++t) {
      const Index* p = place.data() + t * k;
      y.row(t) = w(t, 0) * ys.row(p[0]) + w(t, 1) * ys.row(p[1]);
    }
  }
  /// Gradients with respect to x and all parameters from dy.
  void backward() {
    each_expert([&](std::size_t i, Index first, Index rows) {
      for (Index r = first; r < first + rows; ++r) {
        const Index s = slot[std::size_t(r)];
        dys.row(r) = w.data()[s] * dy.row(s / k);
        dw.data()[s] = dy.row(s / k).dot(ys.row(r));
      }
      down[i].backward(h.middleRows(first, rows), dys.middleRows(first, rows), dh.middleRows(first, rows));
      mask(h.middleRows(first, rows), dh.middleRows(first, rows));
      up[i].backward(xs.middleRows(first, rows), dh.middleRows(first, rows), dxs.middleRows(first, rows));
    });
    dz.setZero();
    for (Index t = 0; t < n; ++t)
      for (Index j = 0; j < k; ++j)
        dz(t, expert[std::size_t(t * k + j)]) = w(t, j) * (dw(t, j) - w.row(t).dot(dw.row(t)));
    router.backward(x, dz, dx);
#pragma omp parallel for schedule(static) num_threads(Eigen::nbThreads())
    for (Index t = 0; t < n; ++t) {
      const Index* p = place.data() + t * k;
      dx.row(t) += dxs.row(p[0]) + dxs.row(p[1]);
    }
  }
};

}  // namespace eigen_floor
