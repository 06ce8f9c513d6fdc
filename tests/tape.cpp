// The tape: values and gradients, reuse, no-grad, frozen parameters, reset, memory, errors.
#include <modx/laws/report.hpp>
#include <modx/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;

namespace {
std::vector<double> gradient(var<cpu64> x) { return {x.gradient(), x.gradient() + x.size()}; }
using numbers = std::vector<double>;
var<cpu64> trained(tape<cpu64>& t, const matrix<double>& m) { return t.input(m.data, m.rows, m.cols, true); }
}  // namespace

TEST_CASE("a tape hands values out and in") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto x = t.input(rows({{1, 2, 3}, {4, 5, 6}}));
  CHECK(x.rows() == 2);
  CHECK(x.cols() == 3);
  CHECK(x.size() == 6);
  CHECK(x.host() == rows({{1, 2, 3}, {4, 5, 6}}));
  CHECK_FALSE(x.needs_gradient());
  CHECK(t.constant(2, 2, 7).host() == rows({{7, 7}, {7, 7}}));
  CHECK(t.input(rows({{42}})).item() == 42);
  CHECK(t.input(matrix<double>(0, 3)).host() == matrix<double>(0, 3));
  const auto image = t.input(numbers(12), 1, {2, 3, 2});
  CHECK(image.columns() == extent(2, 3, 2));
  const double outside[] = {8, 9};
  const auto view = t.tensor(outside, 1, 2);
  CHECK(view.data() == outside);
  CHECK_FALSE(bool(var<cpu64>{}));
  CHECK(bool(view));
  CHECK(&view.on() == &t);
}

TEST_CASE("gradients of a var that is used several times add up") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto x = trained(t, rows({{2, 3}}));
  t.backward(ops::sum(x * x + 3.0 * x + ops::stop_gradient(x) * x));  // d = 2x + 3 + x
  CHECK(gradient(x) == numbers{9, 12});
}

TEST_CASE("backward scales by the gradient of the loss and skips what nobody wants") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto x = trained(t, rows({{1, 2}})), unused = trained(t, rows({{1, 2}})), constant = t.input(rows({{5, 5}}));
  const auto dead_end = ops::exp(x);  // does not reach the loss
  const auto loss = ops::sum(x * constant);
  t.backward(loss, 0.5);
  CHECK(gradient(x) == numbers{2.5, 2.5});
  CHECK_FALSE(unused.has_gradient());
  CHECK_FALSE(constant.has_gradient());
  CHECK_FALSE(dead_end.has_gradient());
}

TEST_CASE("an operation that no gradient reaches is not run backwards") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto x = trained(t, rows({{1}}));
  int runs = 0;
  auto* counter = &runs;
  const auto watched = [&] {
    double* out = nullptr;
    auto y = t.result(1, 1, true, out);
    *out = 1;
    t.record(y, [=](const double* dy) {
      ++*counter;
      const auto g = x.accumulate();
      *g.data = g.beta * *g.data + *dy;
    });
    return y;
  };
  watched();
  t.backward(ops::sum(watched() + watched()));
  CHECK(runs == 2);
  CHECK(gradient(x) == numbers{2});
}

TEST_CASE("with recording off nothing needs a gradient and nothing is kept") {
  cpu64 backend{1, 1};
  parameter_list<cpu64> list;
  builder<cpu64> b(backend, list, 1);
  auto& w = b.make("w", 2, 2, init::normal(1));
  tape<cpu64> t(backend);
  const auto forward = [&](bool on) {
    t.reset();
    t.record_operations(on);
    const auto x = trained(t, rows({{1, 2}, {3, 4}}));
    return ops::softmax_rows(ops::gelu(ops::linear(x, w, nullptr)));
  };
  const auto y = forward(true).host();
  const std::size_t recorded = t.peak_bytes();
  const auto z = forward(false);
  CHECK(z.host() == y);
  CHECK_FALSE(z.needs_gradient());
  CHECK(contains(message([&] { t.backward(ops::sum(z)); }), "backward: the loss depends on no trainable parameter"));
  tape<cpu64> quiet(backend);
  quiet.record_operations(false);
  ops::softmax_rows(ops::gelu(ops::linear(quiet.input(rows({{1, 2}, {3, 4}})), w, nullptr)));
  CHECK(quiet.peak_bytes() < recorded);
}

TEST_CASE("a frozen parameter gets no gradient buffer and keeps its bits; gradients flow through it") {
  cpu64 backend{1, 1};
  parameter_list<cpu64> list;
  builder<cpu64> b(backend, list, 1);
  auto& first = b.make("first", 2, 2, init::normal(1));
  auto& frozen = b.make("frozen", 2, 2, init::normal(1));
  frozen.set_trainable(false);
  const auto before = frozen.host();
  tape<cpu64> t(backend);
  t.backward(ops::sum(ops::square(ops::linear(ops::linear(t.input(rows({{1, 2}})), first, nullptr), frozen, nullptr))));
  CHECK(first.gradient() != nullptr);
  CHECK(frozen.gradient() == nullptr);
  CHECK_FALSE(frozen.has_moment(0));
  CHECK(frozen.host() == before);
  t.reset();
  first.set_trainable(false);
  CHECK(first.gradient() == nullptr);
  const auto loss = ops::sum(ops::linear(t.input(rows({{1, 2}})), first, nullptr));
  CHECK(contains(message([&] { t.backward(loss); }), "depends on no trainable parameter"));
}

TEST_CASE("gradients of a parameter add up over steps until an update") {
  cpu64 backend{1, 1};
  parameter_list<cpu64> list;
  builder<cpu64> b(backend, list, 1);
  auto& w = b.make("w", 1, 2, init::constant(1));
  tape<cpu64> t(backend);
  for (int i = 1; i <= 3; ++i) {
    t.reset();
    t.backward(ops::sum(t.use(w) * t.input(rows({{1, double(i)}}))));
  }
  CHECK(numbers(w.gradient(), w.gradient() + 2) == numbers{3, 6});
  w.gradient_is_fresh = true;
  t.reset();
  t.backward(ops::sum(t.use(w) + t.use(w)));
  CHECK(numbers(w.gradient(), w.gradient() + 2) == numbers{2, 2});
}

TEST_CASE("a loss that is a parameter itself adds to its gradient") {
  cpu64 backend{1, 1};
  parameter_list<cpu64> list;
  builder<cpu64> b(backend, list, 1);
  auto& w = b.make("w", 1, 1, init::constant(1));
  tape<cpu64> t(backend);
  for (int i = 0; i < 3; ++i) {
    t.reset();
    t.backward(t.use(w), 0.5);
  }
  CHECK(w.gradient()[0] == 1.5);
}

TEST_CASE("reset takes the memory back and forgets the step") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto step = [&] {
    t.reset();
    t.context.training = true;
    const auto x = trained(t, rows({{1, 2}, {3, 4}}));
    const auto loss = ops::mean(ops::square(ops::softmax_rows(x)));
    t.backward(loss);
    return std::pair{loss.item(), gradient(x)};
  };
  const auto first = step();
  const std::size_t taken = t.allocations();
  for (int i = 0; i < 50; ++i) CHECK(step() == first);
  CHECK(t.allocations() == taken);
  t.reset();
  CHECK_FALSE(t.context.training);
  CHECK(t.routings() == nullptr);
}

TEST_CASE("backward after backward does nothing more") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto x = trained(t, rows({{3}}));
  const auto loss = ops::sum(ops::square(x));
  t.backward(loss);
  t.backward(loss);
  CHECK(gradient(x) == numbers{6});
}

TEST_CASE("memory of several blocks becomes one, and large tensors fit") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  for (int i = 0; i < 4; ++i) {
    t.reset();
    for (int j = 0; j < 10; ++j) {
      const auto x = t.constant(1000, 300, j);  // 2.4 MB
      CHECK(reinterpret_cast<std::uintptr_t>(x.data()) % 64 == 0);
      CHECK(x.data()[299999] == j);
    }
  }
  const std::size_t taken = t.allocations();
  t.reset();
  for (int j = 0; j < 10; ++j) t.constant(1000, 300, j);
  CHECK(t.allocations() == taken);
  CHECK(t.peak_bytes() >= 10 * 300000 * sizeof(double));
}

TEST_CASE("a tape says what is wrong") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto x = trained(t, rows({{1, 2}}));
  CHECK(contains(message([&] { x.item(); }), "var::item: expected 1 element, found 2"));
  CHECK(contains(message([&] { t.backward(x); }), "backward (of a loss): expected 1 element, found 2"));
  CHECK(contains(message([&] { t.input(numbers(5), 2, 3); }), "input: expected 6 values, found 5"));
  CHECK(contains(message([&] { t.constant(std::size_t(1) << 40, std::size_t(1) << 40, 0); }),
                 "a size below 2^48 elements"));
}

TEST_CASE("a view has its source's gradient, and the memory of a gradient is handed on") {
  cpu64 backend{1, 1};
  tape<cpu64> t(backend);
  const auto loss = [&](var<cpu64> a, var<cpu64> b) {  // both sides of the sum are read again, before and after it
    const auto early = ops::square(a), sum = ops::exp(a) + ops::reshape(b, 2, 2);
    return ops::sum(ops::reshape(sum * sum, 1, 4) * ops::reshape(early + ops::exp(a), 1, 4) + b);
  };
  const auto in = [&](std::size_t n, std::size_t m) { return t.input(modx::laws::draw(3, "x", n, m).data, n, m, true); };
  const auto a = in(2, 2), b = in(1, 4);
  t.backward(loss(a, b));
  const auto da = gradient(a), db = gradient(b);
  const auto numeric = [&](var<cpu64> x, std::size_t i) {
    double at[2];
    for (int side = 0; side < 2; ++side) {
      auto m = x.host();
      m.data[i] += side ? 1e-6 : -1e-6;
      const auto moved = t.input(m);
      at[side] = loss(x.rows() == 2 ? moved : a, x.rows() == 2 ? b : moved).item();
    }
    return (at[1] - at[0]) / 2e-6;
  };
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(std::fabs(da[i] - numeric(a, i)) < 1e-6);
    CHECK(std::fabs(db[i] - numeric(b, i)) < 1e-6);
  }
  const auto x = in(3, 4), y = x + t.constant(3, 4, 1), v = ops::reshape(y, 2, 6);
  t.backward(ops::sum(v));
  CHECK(gradient(x) == numbers(12, 1));
  CHECK(v.raw().gradient == nullptr);  // it is y's ...
  CHECK(y.raw().gradient == nullptr);  // ... and now x's
}

TEST_CASE("the gradient of a view of a parameter is the parameter's") {
  cpu64 backend{1, 1};
  parameter_list<cpu64> list;
  builder<cpu64> b(backend, list, 1);
  auto& w = b.make("w", 2, 3, init::normal(1));
  tape<cpu64> t(backend);
  const auto factors = t.input(rows({{1, 2}, {3, 4}, {5, 6}}));
  t.backward(ops::sum(ops::reshape(ops::reshape(t.use(w), 6, 1), 3, 2) * factors + ops::reshape(t.use(w), 3, 2)));
  CHECK(numbers(w.gradient(), w.gradient() + 6) == numbers{2, 3, 4, 5, 6, 7});
}
