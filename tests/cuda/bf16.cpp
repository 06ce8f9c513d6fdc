// Products in bfloat16 on the CUDA backend, and weights frozen in it: rounded operands, sums in float, everything else as it was.
#include <modx/backend/bfloat16.hpp>
#include <modx/modx.hpp>
#include <modx/step_graphs.hpp>

#include "cuda/parity.hpp"
#include "zoo.hpp"

using namespace modx;
using support::contains;
using support::message;

namespace {

std::vector<float> rounded(std::vector<float> v) {
  for (float& x : v) x = from_bf16(to_bf16(x));
  return v;
}

struct shape_case {
  std::size_t m, n, k;
  bool a_turned, b_turned;
};
/// c = gelu(a b + bias) + beta c on the GPU; `packs`: b by pack(), else by gemm() itself.
std::vector<float> product(cuda& b, const shape_case& s, const std::vector<float>& x, const std::vector<float>& y,
                           const std::vector<float>& c, float beta, bool packs, bool exact = false) {
  parity::buffer<cuda, float> dx(b, x), dy(b, y), dc(b, c), bias(b, parity::draw<float>(s.n, "bias"));
  gemm_task<float> t;
  t.m = s.m, t.n = s.n, t.k = s.k, t.beta = beta, t.c = dc.data(), t.ldc = s.n, t.bias = bias.data(), t.act = activation::gelu;
  t.a = s.a_turned ? matrix_view<float>::transposed(dx.data(), s.m) : matrix_view<float>::plain(dx.data(), s.k);
  t.b = s.b_turned ? matrix_view<float>::transposed(dy.data(), s.k) : matrix_view<float>::plain(dy.data(), s.n);
  t.exact = exact;
  parity::buffer<cuda, float> memory(b, std::vector<float>(std::max<std::size_t>(1, b.packed_size(s.k, s.n))));
  if (packs) {
    const pack_task<float> one{s.k, s.n, t.b, memory.data()};
    b.pack(std::span(&one, 1));
    t.packed_b = memory.data();
  }
  b.gemm(t);
  return dc.host();
}

template <class M>
auto weights_of(const M& m) {
  std::vector<matrix<float>> w;
  for (auto* p : m.parameters()) w.push_back(p->host());
  return w;
}
auto experts() {
  return module::mixture{.experts = expert::mlp{.hidden = 16}, .router = router::softmax{}, .n_experts = 4};
}
struct outcome {
  std::vector<double> losses;
  std::vector<matrix<float>> weights;
  bool operator==(const outcome&) const = default;
};
/// Forty steps of a mixture towards |x|.
outcome train(bool bf16, bool recorded = false) {
  cuda b{1};
  b.use_bf16(bf16);
  b.set_product_engine(product_engine::streams);
  auto m = build(b, experts(), {.in = 6, .out = 6});
  auto x = b.normal(64, 6);
  auto target = x;
  for (float& v : target.data) v = std::fabs(v);
  step_graphs<cuda> graphs(b);
  outcome out;
  for (int step = 0; step < 40; ++step)
    out.losses.push_back(recorded ? train_step(graphs, m, optimizer::adamw{.lr = 0.01}, loss::mse{}, x, target)
                                  : train_step(m, optimizer::adamw{.lr = 0.01}, loss::mse{}, x, target));
  out.weights = weights_of(m);
  return out;
}

/// Freezes p and leaves its rounded values in `m`.
template <class B>
void freeze(parameter<B>& p, bool transposed, matrix<float>& m) {
  m = p.host();
  auto* panels = p.freeze_bf16(transposed);
  const auto view = transposed ? matrix_view<float>::transposed(m.data.data(), m.cols) : matrix_view<float>::plain(m.data.data(), m.cols);
  p.backend().pack_bf16(transposed ? m.cols : m.rows, 0, transposed ? m.rows : m.cols, view, panels);
  m.data = rounded(m.data);
}

}  // namespace

TEST_CASE("cuda bf16: products have the values of rounded operands, summed in float", "[parity]") {
  MODX_NEEDS_DEVICE();
  cuda plain{1}, b{1};
  b.use_bf16(true);
  for (const auto& s : {shape_case{1, 1, 1, false, false}, {33, 31, 130, false, false}, {33, 31, 130, true, false},
                        {5, 70, 32, false, true}, {40, 24, 1000, true, true}, {0, 3, 4, false, false}, {3, 4, 0, false, false}}) {
    CAPTURE(s.m, s.n, s.k, s.a_turned, s.b_turned);
    const auto x = parity::draw<float>(s.m * s.k, "a"), y = parity::draw<float>(s.k * s.n, "b"), c = parity::draw<float>(s.m * s.n, "c");
    const auto want = product(plain, s, rounded(x), rounded(y), c, 0.5f, false);
    for (const bool packs : {false, true}) {
      const auto found = product(b, s, x, y, c, 0.5f, packs);
      CHECK(parity::difference(want, found) < 1e-4);
      if (s.k > 30) CHECK(parity::difference(product(plain, s, x, y, c, 0.5f, false), found) > 1e-4);  // it does round
      CHECK(product(b, s, x, y, c, 0.5f, packs, true) == product(plain, s, x, y, c, 0.5f, false));
    }
  }
}

TEST_CASE("cuda bf16: experts round, their router does not", "[parity]") {
  MODX_NEEDS_DEVICE();
  cuda b{1};
  auto m = build(b, experts(), {.in = 6, .out = 6});
  const auto x = b.normal(50, 6);
  const auto look = [&] {
    tape<cuda> t(b);
    const auto y = m.forward(t.input(x));
    return std::pair(routings(t)->all.host(), y.host());
  };
  const auto [weights, y] = look();
  b.use_bf16(true);
  const auto [same, rough] = look();
  CHECK(weights == same);
  const double off = parity::difference(y.data, rough.data);
  CHECK(off > 0);
  CHECK(off < 0.03);
  b.use_bf16(false);
  CHECK(look().second == y);
}

TEST_CASE("cuda bf16: what is asked for in full precision has the values and gradients of float", "[parity]") {
  MODX_NEEDS_DEVICE();
  const auto run = [](bool bf16, bool exact) {
    cuda b{1};
    b.use_bf16(bf16);
    parameter_list<cuda> list;
    builder<cuda> make(b, list, 3);
    auto& w = make.make("w", 6, 6, init::normal(1));
    tape<cuda> t(b);
    t.context.exact = exact;
    const auto x = t.input(parity::draw<float>(9 * 6, "x"), 9, 6);
    const auto in = ops::linear(x, t.use(w), {}, activation::gelu);
    const auto y = ops::add_linear(in, ops::matmul_transposed(in, t.use(w)), t.use(w), {}, activation::tanh);
    t.context.exact = false;  // each operation keeps what it was asked for
    t.backward(ops::sum(ops::square(y)));
    std::vector<float> gradient(w.size());
    b.download(gradient.data(), w.gradient(), gradient.size() * sizeof(float));
    return std::pair(y.host(), gradient);
  };
  const auto plain = run(false, false), exact = run(true, true), rough = run(true, false);
  CHECK(exact == plain);
  CHECK(rough.first != plain.first);
  CHECK(rough.second != plain.second);
}

TEST_CASE("cuda bf16: training has nearly the losses of float, keeps its weights in float, and the same bits every time", "[training]") {
  MODX_NEEDS_DEVICE();
  const auto plain = train(false), rough = train(true);
  CHECK(rough == train(true));
  CHECK(rough.losses != plain.losses);
  CHECK(rough.losses.back() < 0.5 * rough.losses.front());
  CHECK(std::fabs(rough.losses.back() - plain.losses.back()) < 0.05 * plain.losses.back());
  bool finer = false;
  for (const auto& w : rough.weights) finer = finer || rounded(w.data) != w.data;
  CHECK(finer);
  CHECK(train(true, true) == rough);  // recorded steps, too
}

TEST_CASE("cuda bf16: frozen weights give what they give on the CPU", "[parity]") {
  MODX_NEEDS_DEVICE();
  const auto run = [](auto& b, bool transposed) {
    using B = std::decay_t<decltype(b)>;
    parameter_list<B> list;
    builder<B> make(b, list, 3);
    auto& w = transposed ? make.make("w", 37, 20, init::normal(1)) : make.make("w", 20, 37, init::normal(1));
    auto& first = make.make("first", 4, 20, init::normal(1));
    matrix<float> values;
    freeze(w, transposed, values);
    CHECK(w.host() == values);
    tape<B> t(b);
    const auto in = parity::draw<float>(9 * 4, "x");
    const auto h = ops::linear(t.input(in, 9, 4), t.use(first), {}, activation::relu);
    const auto y = transposed ? ops::matmul_transposed(h, t.use(w)) : ops::linear(h, t.use(w), {}, activation::gelu);
    t.backward(ops::sum(ops::square(y)));
    std::vector<float> out = y.host().data;
    std::vector<float> gradient(first.size());
    b.download(gradient.data(), first.gradient(), gradient.size() * sizeof(float));
    out.insert(out.end(), gradient.begin(), gradient.end());
    if (transposed) {
      const std::int32_t id[] = {36, 0, 11};
      const auto looked_up = ops::take_rows(t.use(w), t.input(ids(id)), 3).host();
      out.insert(out.end(), looked_up.data.begin(), looked_up.data.end());
      const std::int32_t wrong[] = {37};
      CHECK(contains(message([&] { ops::take_rows(t.use(w), t.input(ids(wrong)), 1).host(); }), "0 <= id < 37, found 37"));
    }
    return out;
  };
  for (const bool transposed : {false, true}) {
    cpu host{1, 1};
    cuda b{1};
    const auto want = run(host, transposed), found = run(b, transposed);
    CHECK(parity::difference(want, found) < 1e-4);
    b.use_bf16(true);
    const auto rough = run(b, transposed);  // now the activations round, too
    double off = 0, size = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      off += std::pow(double(want[i]) - double(rough[i]), 2), size += std::pow(double(want[i]), 2);
    CHECK(off > 1e-8 * size);
    CHECK(off < 1e-4 * size);
  }
}

TEST_CASE("cuda bf16: what it can't do says so", "[parity]") {
  MODX_NEEDS_DEVICE();
  basic_cuda<double> wide{1};
  CHECK(contains(message([&] { wide.use_bf16(true); }), "use_bf16: expected a backend of float, found one of double"));
  cuda b{1};
  float x = 0;
  const pack_task<float> one{1, 1, matrix_view<float>::plain(&x, 1), &x};
  CHECK(contains(message([&] { b.pack(std::span(&one, 1)); }), "use_bf16()"));
  b.use_bf16(true);
  b.set_product_engine(product_engine::grouped);
  auto m = build(b, experts(), {.in = 6, .out = 6});
  CHECK(contains(message([&] { m.predict(b.normal(5, 6)); }), "gemm in bfloat16: expected product_engine automatic or streams, found grouped"));
}
