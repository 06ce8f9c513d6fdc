// floor --check: the floor computes what modx computes, to a relative 1e-3 of each tensor's norm.
#include <cstdio>
#include <modx/modx.hpp>

#include "cnn.hpp"
#include "mlp.hpp"
#include "moe.hpp"

namespace eigen_floor {
namespace {

// The networks of train_step.cpp.
namespace networks {
namespace m = modx::module;
auto mlp() {
  return m::sequential(m::linear{.out = 256, .act = modx::activation::relu},
                       m::linear{.out = 256, .act = modx::activation::relu}, m::linear{});
}
auto cnn() {
  return m::sequential(m::conv2d{.channels = 32, .padding = 1, .relu = true, .pool = 2},
                       m::conv2d{.channels = 64, .padding = 1, .relu = true, .pool = 2}, m::flatten{},
                       m::linear{.out = 128, .act = modx::activation::relu}, m::linear{});
}
auto moe() {
  return m::mixture{.experts = modx::expert::mlp{.hidden = 1024},
                    .router = modx::router::top_k{.k = 2},
                    .combiner = modx::combiner::softmax{},
                    .n_experts = 8};
}
const modx::shape images{{28, 28, 1}, 10};
}  // namespace networks

using map = Eigen::Map<const matrix>;

map view(const modx::matrix<float>& m) { return {m.data.data(), Index(m.rows), Index(m.cols)}; }

/// The largest |a - b| / |b| so far (Frobenius) and whose it is.
struct difference {
  double worst = 0;
  std::string where = "nothing compared";
  void compare(const std::string& name, const matrix& a, const matrix& b) {
    const double d = (a - b).norm() / double(b.norm());
    if (!(d <= worst)) worst = d, where = name;  // NaN is a difference
  }
  bool report(const char* item, int threads) const {
    const bool same = worst > 0 && worst < 1e-3;
    std::printf("%-20s %d thread(s)  largest relative difference %.1e (%s)  %s\n", item, threads, worst,
                where.c_str(), same ? "ok" : "FAILED");
    return same;
  }
};

template <class M, class N>
void copy_weights(const M& model, N& net) {
  net.each([&](const std::string& name, parameter& p) { p.w = view(model.find(name).host()); });
}

/// What three steps change in each parameter.
template <class N, class S, class O, class P>
bool check_training(const char* item, int threads, const S& spec, modx::shape io, const O& theirs, P ours) {
  modx::cpu backend(1, threads);
  auto model = modx::build(backend, spec, io);
  const auto x = backend.normal(N::n, N::in);
  const auto y = labels(N::n);
  N net;
  net.x = view(x);
  copy_weights(model, net);
  std::vector<matrix> start;
  net.each([&](const char*, parameter& p) { start.push_back(p.w); });
  for (int i = 0; i < 3; ++i) {
    modx::train_step(model, theirs, modx::loss::cross_entropy{}, x, y);
    net.step(y, ours);
  }
  difference d;
  std::size_t i = 0;
  net.each([&](const char* name, parameter& p) {
    const matrix after = view(model.find(name).host());
    d.compare(name, p.w - start[i], after - start[i]);
    ++i;
  });
  return d.report(item, threads);
}

bool check_cnn_forward(int threads) {
  modx::cpu backend(1, threads);
  auto model = modx::build(backend, networks::cnn(), networks::images);
  const auto x = backend.normal(cnn::n, cnn::in);
  cnn net;
  net.x = view(x);
  copy_weights(model, net);
  net.forward();
  difference d;
  d.compare("output", net.z, view(model.predict(x)));
  return d.report("cnn_forward", threads);
}

bool check_moe(int threads) {
  modx::cpu backend(1, threads);
  auto model = modx::build(backend, networks::moe(), {moe::d, moe::d});
  const auto x = backend.normal(moe::n, moe::d);
  moe net;
  net.x = view(x);
  copy_weights(model, net);
  net.forward();
  difference forward;
  forward.compare("output", net.y, view(model.predict(x)));
  const bool same = forward.report("moe_forward", threads);

  net.dy.setOnes();
  net.backward();
  auto& t = model.tape_of_step();
  t.reset();
  const auto input = t.input(x.data, x.rows, x.cols, true);
  t.backward(modx::ops::sum(model.forward(input)));
  difference d;
  d.compare("input", net.dx, map(input.gradient(), moe::n, moe::d));
  net.each([&](const std::string& name, parameter& p) {
    d.compare(name, p.g, map(model.find(name).gradient(), p.g.rows(), p.g.cols()));
  });
  return d.report("moe_forward_backward", threads) && same;
}

}  // namespace

bool check() {
  // eps of about a gradient's size: with a tiny one the rounding of small gradients decides whole steps.
  const modx::optimizer::adamw theirs{.eps = 1e-3};
  const adamw ours{.eps = 1e-3};
  bool same = true;
  for (int threads : {1, 2}) {
    Eigen::setNbThreads(threads);
    const modx::shape flat{784, 10}, images = networks::images;
    same &= check_training<mlp>("mlp_sgd", threads, networks::mlp(), flat, modx::optimizer::sgd{}, sgd{});
    same &= check_training<mlp>("mlp_adamw", threads, networks::mlp(), flat, theirs, ours);
    same &= check_training<cnn>("cnn_sgd", threads, networks::cnn(), images, modx::optimizer::sgd{}, sgd{});
    same &= check_training<cnn>("cnn_adamw", threads, networks::cnn(), images, theirs, ours);
    same &= check_cnn_forward(threads);
    same &= check_moe(threads);
  }
  return same;
}

}  // namespace eigen_floor
