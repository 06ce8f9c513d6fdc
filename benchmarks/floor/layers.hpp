// What the floor's networks share: plain Eigen with its own OpenMP threads, which anybody would write first.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace eigen_floor {

using Eigen::Index;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using block = Eigen::Ref<matrix>;
using const_block = const Eigen::Ref<const matrix>&;

/// A weight or bias, its gradient and its moments.
struct parameter {
  matrix w, g, m, v;
  parameter(Index rows, Index cols, Index fan_in)
      : w(matrix::Random(rows, cols) / std::sqrt(float(fan_in))), g(matrix::Zero(rows, cols)), m(g), v(g) {}
};

/// f(first, count) on chunks that fit in L1.
template <class F>
void in_chunks(Index size, F f) {
  constexpr Index chunk = 2048;
#pragma omp parallel for schedule(static) num_threads(Eigen::nbThreads()) if (size > 8 * chunk)
  for (Index i = 0; i < size; i += chunk) f(i, std::min(chunk, size - i));
}

/// w -= lr g.
struct sgd {
  float lr = 0.01f;
  void next() {}
  void update(parameter& p) const {
    in_chunks(p.w.size(), [&](Index i, Index n) {
      Eigen::Map<Eigen::ArrayXf>(p.w.data() + i, n) -= lr * Eigen::Map<Eigen::ArrayXf>(p.g.data() + i, n);
    });
  }
};

/// m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= lr (weight_decay w + m^ / (sqrt(v^) + eps)).
struct adamw {
  double lr = 1e-3, weight_decay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  int step = 0;
  void next() { ++step; }
  void update(parameter& p) const {
    const double c1 = 1 - std::pow(beta1, step), c2 = std::sqrt(1 - std::pow(beta2, step));
    const float b1 = float(beta1), d1 = float(1 - beta1), b2 = float(beta2), d2 = float(1 - beta2);
    const float keep = float(1 - lr * weight_decay), rate = float(lr * c2 / c1), tiny = float(eps * c2);
    in_chunks(p.w.size(), [&](Index i, Index n) {
      using array = Eigen::Map<Eigen::ArrayXf>;
      array w(p.w.data() + i, n), g(p.g.data() + i, n), m(p.m.data() + i, n), v(p.v.data() + i, n);
      m = b1 * m + d1 * g;
      v = b2 * v + d2 * g.square();
      w = keep * w - rate * m / (v.sqrt() + tiny);
    });
  }
};

/// y = relu(x W + b) or x W + b.   x: n x in, W: in x out.
struct dense {
  parameter w, b;
  dense(Index in, Index out) : w(in, out, in), b(1, out, in) {}

  void forward(const_block x, block y, bool relu) const {
    y.noalias() = x * w.w;
    for (Index i = 0; i < y.rows(); ++i) {
      if (relu) {
        y.row(i) = (y.row(i) + b.w.row(0)).cwiseMax(0.f);
      } else {
        y.row(i) += b.w.row(0);
      }
    }
  }
  /// Gradients of the weights from the gradient of x W + b.
  void backward(const_block x, const_block dy) {
    w.g.noalias() = x.transpose() * dy;
    b.g = dy.colwise().sum();
  }
  void backward(const_block x, const_block dy, block dx) {
    backward(x, dy);
    dx.noalias() = dy * w.w.transpose();
  }
};

/// d = 0 where the ReLU's output y is 0.
inline void mask(const_block y, block d) {
  for (Index i = 0; i < y.rows(); ++i) {
    const float* a = y.row(i).data();
    float* g = d.row(i).data();
    for (Index j = 0; j < y.cols(); ++j) g[j] = a[j] > 0 ? g[j] : 0.f;
  }
}

inline std::vector<std::int32_t> labels(Index n) {
  std::vector<std::int32_t> y(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = std::int32_t((7 * i) % 10);
  return y;
}

/// d = (softmax(z) - onehot(label)) / n: the gradient of the mean cross-entropy.
inline void cross_entropy_gradient(const matrix& z, const std::vector<std::int32_t>& label, matrix& d) {
  for (Index i = 0; i < z.rows(); ++i) {
    d.row(i) = (z.row(i).array() - z.row(i).maxCoeff()).exp();
    d.row(i) /= d.row(i).sum() * float(z.rows());
    d(i, label[std::size_t(i)]) -= 1.f / float(z.rows());
  }
}

}  // namespace eigen_floor
