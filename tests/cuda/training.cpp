// The same programs train on the CUDA backend: the losses of the CPU, and the same bits every time.
#include <modx/modx.hpp>

#include "cuda/parity.hpp"
#include "zoo.hpp"

using namespace modx;

namespace {

/// Losses of examples/hello.cpp's mixture.
template <class B>
std::vector<double> hello(B backend, int steps) {
  using T = typename B::scalar;
  auto x = backend.normal(512, 2);
  auto target = x;
  for (T& v : target.data) v = v < 0 ? -v : v;
  const auto spec =
      module::mixture{.experts = expert::mlp{.hidden = 16}, .router = router::top_k{.k = 2}, .n_experts = 4};
  auto model = build(backend, spec, {.in = 2, .out = 2});
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step)
    losses.push_back(train_step(model, optimizer::adamw{.lr = 0.01}, loss::mse{}, x, target));
  return losses;
}
double worst_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::fmax(worst, std::fabs(a[i] - b[i]) / std::fabs(a[i]));
  return worst;
}

template <class T>
struct outcome {
  std::vector<double> losses;
  std::vector<matrix<T>> weights;
  bool operator==(const outcome&) const = default;
};
template <class B, class S>
outcome<typename B::scalar> train(B backend, const S& spec, const shape& io) {
  using T = typename B::scalar;
  auto m = build(backend, spec, io);
  outcome<T> out;
  for (std::uint64_t step = 0; step < 8; ++step) {
    const zoo::batch<T> data(67, io, step % 2);
    const step_options options{.clip_norm = 1};
    out.losses.push_back(
        step % 3 ? train_step(m, optimizer::adamw{.lr = 0.01}, loss::cross_entropy{}, data.x, data.label, options)
                 : train_step(m, optimizer::sgd{.lr = 0.01, .momentum = 0.9}, loss::cross_entropy{}, data.x, data.label,
                              options));
  }
  for (auto* p : m.parameters()) out.weights.push_back(p->host());
  return out;
}

}  // namespace

TEST_CASE("cuda: hello trains with the losses of the CPU", "[training]") {
  MODX_NEEDS_DEVICE();
  CHECK(worst_ratio(hello(cpu{1, 1}, 60), hello(cuda{1}, 60)) < 1e-5);
  CHECK(worst_ratio(hello(basic_cpu<double>{1, 1}, 60), hello(basic_cuda<double>{1}, 60)) < 1e-9);
}

TEST_CASE("cuda: every architecture trains as on the CPU", "[training]") {
  MODX_NEEDS_DEVICE();
  zoo::for_each([](const char* name, const auto& spec, const shape& io) {
    INFO(name);
    const auto a = train(basic_cpu<double>{1, 1}, spec, io), b = train(basic_cuda<double>{1}, spec, io);
    CHECK(worst_ratio(a.losses, b.losses) < 1e-9);
    for (std::size_t i = 0; i < a.weights.size(); ++i)
      CHECK(parity::difference(a.weights[i].data, b.weights[i].data) < 1e-8);
  });
}

TEST_CASE("cuda: two runs give the same bits", "[training]") {
  MODX_NEEDS_DEVICE();
  zoo::for_each([](const char* name, const auto& spec, const shape& io) {
    INFO(name);
    CHECK(train(cuda{1}, spec, io) == train(cuda{1}, spec, io));
  });
}

TEST_CASE("cuda: a label out of range stops a step before anything has changed", "[training]") {
  MODX_NEEDS_DEVICE();
  cuda b{1};
  auto m = build(b, zoo::mlp(), zoo::rows_of_20);
  zoo::batch<float> data(9, zoo::rows_of_20, 1);
  const auto before = m.parameters()[0]->host();
  data.label[4] = 6;
  const auto said =
      support::message([&] { train_step(m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label); });
  CHECK(said == "modx: cross_entropy, label of token 4: expected 0 <= label < 6, found 6");
  CHECK(m.parameters()[0]->host() == before);
}
