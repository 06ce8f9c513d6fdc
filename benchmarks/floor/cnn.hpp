// The CNN of train_step.cpp: im2col and an Eigen product for each image, images over threads; everything
// preallocated.
#pragma once
#include <omp.h>

#include "layers.hpp"

namespace eigen_floor {

/// y = max_pool(relu(x * W + b)): 3 x 3, padding 1, pool 2.   x: n x (size, size, in), W: (9 in) x out.
template <int size, int in, int out>
struct conv {
  static constexpr int padded = size + 2, half = size / 2, most_threads = 64;
  parameter w{9 * in, out, 9 * in}, b{1, out, 9 * in};
  Eigen::Matrix<std::int32_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> winner;
  struct scratch {
    matrix image = matrix::Zero(padded, padded* in), d_image = image, columns{size * size, 9 * in},
           z{size * size, out}, gw{9 * in, out}, gb{1, out};
  };
  std::vector<scratch> own = std::vector<scratch>(std::size_t(std::min(most_threads, omp_get_max_threads())));

  explicit conv(Index n) : winner(n, half * half * out) {}

  int threads() const { return std::min(Eigen::nbThreads(), int(own.size())); }
  static void image_to_columns(const float* x, scratch& s) {
    for (int r = 0; r < size; ++r) std::copy_n(x + r * size * in, size * in, s.image.row(r + 1).data() + in);
    for (int r = 0; r < size; ++r)
      for (int c = 0; c < size; ++c)
        for (int tap = 0; tap < 3; ++tap)
          std::copy_n(s.image.row(r + tap).data() + c * in, 3 * in,
                      s.columns.row(r * size + c).data() + tap * 3 * in);
  }
  static void columns_to_image(scratch& s, float* dx) {
    s.d_image.setZero();
    for (int r = 0; r < size; ++r)
      for (int c = 0; c < size; ++c)
        for (int tap = 0; tap < 3; ++tap) {
          const float* from = s.columns.row(r * size + c).data() + tap * 3 * in;
          float* to = s.d_image.row(r + tap).data() + c * in;
          for (int i = 0; i < 3 * in; ++i) to[i] += from[i];
        }
    for (int r = 0; r < size; ++r)
      std::copy_n(s.d_image.row(r + 1).data() + in, size * in, dx + r * size * in);
  }
  /// The four rows of z under one output.
  static const float* under(const matrix& z, int r, int c, int corner) {
    return z.row((2 * r + corner / 2) * size + 2 * c + corner % 2).data();
  }
  /// The maximum commutes with + b and ReLU; `place` is its corner, -1 where the ReLU is 0.
  void pool(const matrix& z, float* y, std::int32_t* place) const {
    for (int r = 0; r < half; ++r)
      for (int c = 0; c < half; ++c, y += out, place += out) {
        const float *z0 = under(z, r, c, 0), *z1 = under(z, r, c, 1), *z2 = under(z, r, c, 2),
                    *z3 = under(z, r, c, 3);
        const float* bias = b.w.data();
        for (int i = 0; i < out; ++i) {
          const float left = std::max(z0[i], z2[i]), right = std::max(z1[i], z3[i]);
          const float best = std::max(left, right);
          const std::int32_t corner = z0[i] == best ? 0 : z1[i] == best ? 1 : z2[i] == best ? 2 : 3;
          y[i] = std::max(best + bias[i], 0.f);
          place[i] = y[i] > 0 ? corner : -1;
        }
      }
  }
  static void unpool(const float* dy, const std::int32_t* place, matrix& dz) {
    for (int r = 0; r < half; ++r)
      for (int c = 0; c < half; ++c, dy += out, place += out)
        for (int corner = 0; corner < 4; ++corner) {
          float* to = const_cast<float*>(under(dz, r, c, corner));
          for (int i = 0; i < out; ++i) to[i] = place[i] == corner ? dy[i] : 0.f;
        }
  }

  void forward(const matrix& x, matrix& y) {
#pragma omp parallel for schedule(static) num_threads(threads())
    for (Index i = 0; i < x.rows(); ++i) {
      auto& s = own[std::size_t(omp_get_thread_num())];
      image_to_columns(x.row(i).data(), s);
      s.z.noalias() = s.columns * w.w;
      pool(s.z, y.row(i).data(), winner.row(i).data());
    }
  }
  /// Gradients of the weights, and of x where asked for.
  void backward(const matrix& x, const matrix& dy, matrix* dx = nullptr) {
    for (auto& s : own) s.gw.setZero(), s.gb.setZero();
#pragma omp parallel for schedule(static) num_threads(threads())
    for (Index i = 0; i < x.rows(); ++i) {
      auto& s = own[std::size_t(omp_get_thread_num())];
      unpool(dy.row(i).data(), winner.row(i).data(), s.z);
      image_to_columns(x.row(i).data(), s);
      s.gw.noalias() += s.columns.transpose() * s.z;
      s.gb += s.z.colwise().sum();
      if (!dx) continue;
      s.columns.noalias() = s.z * w.w.transpose();
      columns_to_image(s, dx->row(i).data());
    }
    w.g.setZero(), b.g.setZero();
    for (auto& s : own) w.g += s.gw, b.g += s.gb;
  }
};

struct cnn {
  static constexpr Index n = 128, in = 784;
  conv<28, 1, 32> conv1{n};
  conv<14, 32, 64> conv2{n};
  dense dense1{3136, 128}, dense2{128, 10};
  matrix x{n, in}, a1{n, 6272}, a2{n, 3136}, a3{n, 128}, z{n, 10}, da1{n, 6272}, da2{n, 3136}, da3{n, 128},
      dz{n, 10};

  /// f(modx's name, parameter).
  template <class F>
  void each(F f) {
    f("0.weight", conv1.w), f("0.bias", conv1.b), f("1.weight", conv2.w), f("1.bias", conv2.b);
    f("3.weight", dense1.w), f("3.bias", dense1.b), f("4.weight", dense2.w), f("4.bias", dense2.b);
  }
  void forward() {
    conv1.forward(x, a1);
    conv2.forward(a1, a2);
    dense1.forward(a2, a3, true);
    dense2.forward(a3, z, false);
  }
  template <class O>
  void step(const std::vector<std::int32_t>& label, O& optimizer) {
    forward();
    cross_entropy_gradient(z, label, dz);
    dense2.backward(a3, dz, da3);
    mask(a3, da3);
    dense1.backward(a2, da3, da2);
    conv2.backward(a1, da2, &da1);
    conv1.backward(x, da1);
    optimizer.next();
    each([&](const char*, parameter& p) { optimizer.update(p); });
  }
};

}  // namespace eigen_floor
