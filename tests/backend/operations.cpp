// Every operation of the CPU backend against plain loops in double, in float and double, at odd sizes; what is not
// the operation's to write stays as it was, beta 0 never reads, and threads change no bit.
#include <functional>
#include <limits>
#include <modx/backend/functor.hpp>
#include <modx/random.hpp>

#include "catch.hpp"
#include "support.hpp"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

using namespace modx;

namespace {

template <class T>
using numbers = std::vector<T>;
using real = std::vector<double>;

template <class T>
numbers<T> draw(std::size_t n, std::string_view name) {
  numbers<T> v(n);
  const random_stream random(1, name);
  for (std::size_t i = 0; i < n; ++i) v[i] = T(random.normal(i));
  return v;
}
template <class T>
real wide(const numbers<T>& v) {
  return real(v.begin(), v.end());
}
template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 2e-5 : 1e-12;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t guard = 9;

/// f(y) writes `expected` into y for beta = 0 (y starts as NaN) and adds 0.5 y for beta = 0.5; what lies behind stays.
template <class T, class F>
void check(const std::string& name, const real& expected, F&& f) {
  for (const double beta : {0.0, 0.5, 1.0}) {
    INFO(name << ", beta " << beta);
    numbers<T> y = draw<T>(expected.size() + guard, "target");
    const auto start = y;
    if (beta == 0) std::fill(y.begin(), y.end() - guard, T(nan));
    f(T(beta), y.data());
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double e = expected[i] + (beta != 0 ? beta * double(start[i]) : 0);
      const double off = std::fabs(double(y[i]) - e) / std::fmax(1, std::fabs(e));
      worst = off > worst || std::isnan(off) ? off : worst;
    }
    CHECK(worst <= tolerance<T>);
    CHECK(std::equal(y.end() - guard, y.end(), start.end() - guard));
  }
}
/// The same for operations that always overwrite.
template <class T, class F>
void check_overwrites(const std::string& name, const real& expected, F&& f) {
  check<T>(name, expected, [&](T beta, T* y) {
    numbers<T> old(y, y + expected.size());
    f(y);
    for (std::size_t i = 0; beta != 0 && i < expected.size(); ++i) y[i] += beta * old[i];
  });
}

const std::size_t sizes[] = {0, 1, 3, 16, 31, 33};

}  // namespace

TEMPLATE_TEST_CASE("backend: elementwise operations", "", float, double) {
  using T = TestType;
  basic_cpu<T> b{1, 2};
  for (const std::size_t n : {std::size_t(0), std::size_t(1), std::size_t(37), std::size_t(70001)}) {
    const auto x = draw<T>(n, "x"), dy = draw<T>(n, "dy"), z = draw<T>(n, "z");
    const auto each = [&](auto f) {
      real out(n);
      for (std::size_t i = 0; i < n; ++i) out[i] = f(double(x[i]), double(z[i]), double(dy[i]));
      return out;
    };
    check_overwrites<T>("fill", real(n, 2.5), [&](T* y) { b.fill(n, T(2.5), y); });
    check<T>("axpy", each([](double v, double, double) { return -3 * v; }),
             [&](T beta, T* y) { b.axpy(n, T(-3), x.data(), beta, y); });
    const auto unary = [&](const char* name, auto f, auto value, auto slope) {
      numbers<T> y(n);
      check_overwrites<T>(name, each([&](double v, double, double) { return value(v); }),
                          [&](T* out) { b.map(f, n, x.data(), out); });
      b.map(f, n, x.data(), y.data());
      check<T>(name, each([&](double v, double, double g) { return g * slope(v); }),
               [&](T beta, T* out) { b.map_gradient(f, n, x.data(), y.data(), dy.data(), beta, out); });
    };
    unary("affine", fn::affine<T>{2, -1}, [](double v) { return 2 * v - 1; }, [](double) { return 2; });
    unary("exp", fn::exponential{}, [](double v) { return std::exp(v); }, [](double v) { return std::exp(v); });
    unary("square", fn::square{}, [](double v) { return v * v; }, [](double v) { return 2 * v; });
    const auto s = [](double v) { return 1 / (1 + std::exp(-v)); };
    unary("softplus", fn::softplus{}, [](double v) { return std::log1p(std::exp(v)); }, s);
    unary("sigmoid", fn::sigmoid{}, s, [&](double v) { return s(v) * (1 - s(v)); });
    unary("tanh", fn::activated{activation::tanh}, [](double v) { return std::tanh(v); },
          [](double v) { return 1 - std::tanh(v) * std::tanh(v); });
    unary(
        "relu", fn::activated{activation::relu}, [](double v) { return v > 0 ? v : 0; },
        [](double v) { return v > 0 ? 1 : 0; });
    const auto binary = [&](const char* name, auto f, auto value, auto left, auto right) {
      check_overwrites<T>(name, each([&](double v, double w, double) { return value(v, w); }),
                          [&](T* out) { b.zip(f, n, x.data(), z.data(), out); });
      check<T>(name, each([&](double v, double w, double g) { return g * left(v, w); }),
               [&](T beta, T* out) { b.zip_gradient(f, 0, n, x.data(), z.data(), dy.data(), beta, out); });
      check<T>(name, each([&](double v, double w, double g) { return g * right(v, w); }),
               [&](T beta, T* out) { b.zip_gradient(f, 1, n, x.data(), z.data(), dy.data(), beta, out); });
    };
    binary(
        "multiply", fn::multiply{}, std::multiplies<double>(), [](double, double w) { return w; },
        [](double v, double) { return v; });
    binary(
        "subtract", fn::subtract{}, std::minus<double>(), [](double, double) { return 1; },
        [](double, double) { return -1; });
    for (const auto act : {activation::none, activation::relu, activation::gelu, activation::silu, activation::tanh}) {
      numbers<T> y(n);
      for (std::size_t i = 0; i < n; ++i) y[i] = activate(act, x[i]);
      const bool keeps = act != activation::none && act != activation::relu;
      check_overwrites<T>(
          "activation_gradient", each([&](double v, double, double g) { return g * activation_slope(act, v); }),
          [&](T* out) { b.activation_gradient(act, n, keeps ? x.data() : nullptr, y.data(), dy.data(), out); });
    }
  }
}

TEMPLATE_TEST_CASE("backend: rows and columns", "", float, double) {
  using T = TestType;
  basic_cpu<T> b{1, 2};
  for (const std::size_t n : sizes)
    for (const std::size_t d : {std::size_t(1), std::size_t(5), std::size_t(16), std::size_t(131)}) {
      const auto x = draw<T>(n * d, "x"), dy = draw<T>(n * d, "dy"), s = draw<T>(n, "s"), r = draw<T>(d, "r");
      const real X = wide(x), DY = wide(dy);
      real soft(n * d), logs(n * d), lse(n), sums(n), soft_g(n * d), log_g(n * d), lse_g(n * d), sum_g(n * d),
          scaled(n * d), dots(n), added(n * d), columns(d), spread(n * d);
      for (std::size_t t = 0; t < n; ++t) {
        double total = 0, inner = 0, plain = 0;
        for (std::size_t j = 0; j < d; ++j) total += std::exp(X[t * d + j]), sums[t] += X[t * d + j];
        lse[t] = std::log(total);
        for (std::size_t j = 0; j < d; ++j) {
          const std::size_t i = t * d + j;
          soft[i] = std::exp(X[i]) / total, logs[i] = X[i] - lse[t];
          inner += soft[i] * DY[i], plain += DY[i], dots[t] += X[i] * DY[i];
          scaled[i] = X[i] * double(s[t]), added[i] = X[i] + double(r[j]), spread[i] = 0.5 * double(r[j]);
          columns[j] += -2 * X[i];
        }
        for (std::size_t j = 0; j < d; ++j) {
          const std::size_t i = t * d + j;
          soft_g[i] = soft[i] * (DY[i] - inner), log_g[i] = DY[i] - soft[i] * plain;
          lse_g[i] = double(s[t]) * soft[i], sum_g[i] = double(s[t]);
        }
      }
      INFO(n << " x " << d);
      const auto forward = [&](row_function f, const real& expected) {
        check_overwrites<T>("rows", expected, [&](T* y) { b.rows(f, n, d, x.data(), y); });
      };
      forward(row_function::softmax, soft), forward(row_function::log_softmax, logs);
      forward(row_function::log_sum_exp, lse), forward(row_function::sum, sums);
      const auto backward = [&](row_function f, std::size_t width, const numbers<T>& g, const real& expected) {
        numbers<T> y(n * width);
        b.rows(f, n, d, x.data(), y.data());
        check<T>("rows_gradient", expected,
                 [&](T beta, T* dx) { b.rows_gradient(f, n, d, x.data(), y.data(), g.data(), beta, dx); });
      };
      backward(row_function::softmax, d, dy, soft_g), backward(row_function::log_softmax, d, dy, log_g);
      backward(row_function::log_sum_exp, 1, s, lse_g), backward(row_function::sum, 1, s, sum_g);
      check<T>("scale_rows", scaled, [&](T beta, T* y) { b.scale_rows(n, d, x.data(), s.data(), beta, y); });
      check<T>("dot_rows", dots, [&](T beta, T* y) { b.dot_rows(n, d, x.data(), dy.data(), beta, y); });
      check_overwrites<T>("add_row", added, [&](T* y) { b.add_row(n, d, x.data(), r.data(), y); });
      check<T>("column_sums", columns, [&](T beta, T* y) { b.column_sums(n, d, d, T(-2), x.data(), beta, y); });
      check<T>("broadcast_row", spread, [&](T beta, T* y) { b.broadcast_row(n, d, T(0.5), r.data(), beta, y); });
      double total = 0, squares = 0;
      for (const double v : X) total += v, squares += v * v;
      check_overwrites<T>("sum", {0.25 * total}, [&](T* y) { b.sum(n * d, T(0.25), x.data(), y); });
      update_task<T> one, two;
      one.size = n * d, one.g = x.data(), two.size = d, two.g = r.data();
      for (const auto v : r) squares += double(v) * double(v);
      const update_task<T> both[] = {one, two};
      CHECK(support::near(b.squared_norm(both), squares, 1e-12));
    }
}

TEMPLATE_TEST_CASE("backend: parts of rows and columns", "", float, double) {
  using T = TestType;
  basic_cpu<T> b{1, 2};
  for (const std::size_t n : sizes)
    for (const std::size_t d : {std::size_t(1), std::size_t(9), std::size_t(40)}) {
      const std::size_t from = d / 3, m = d - from - d / 4;
      const auto x = draw<T>(n * d, "x"), part = draw<T>(n * m, "part");
      real taken(n * m), sums(m);
      for (std::size_t t = 0; t < n; ++t)
        for (std::size_t j = 0; j < m; ++j)
          taken[t * m + j] = double(x[t * d + from + j]), sums[j] += double(x[t * d + from + j]);
      check<T>("take_columns", taken, [&](T beta, T* y) { b.take_columns(n, d, from, m, x.data(), beta, y); });
      check<T>("column_sums of a part", sums,
               [&](T beta, T* y) { b.column_sums(n, m, d, 1, x.data() + from, beta, y); });
      for (const T beta : {T(0), T(1)}) {
        auto y = x, expected = x;
        b.put_columns(n, d, from, m, part.data(), beta, y.data());
        for (std::size_t t = 0; t < n; ++t)
          for (std::size_t j = 0; j < m; ++j) {
            T& e = expected[t * d + from + j];
            e = part[t * m + j] + (beta != T(0) ? e : T(0));
          }
        CHECK(y == expected);  // the other columns too
      }
    }
}

TEMPLATE_TEST_CASE("backend: experts side by side", "", float, double) {
  using T = TestType;
  basic_cpu<T> b{1, 2};
  for (const std::size_t n : {0, 1, 33})
    for (const std::size_t e : {1, 3, 5})
      for (const std::size_t m : {1, 17, 64, 150}) {
        const auto w = draw<T>(n * e, "w"), y = draw<T>(n * e * m, "y"), g = draw<T>(n * m, "g");
        std::vector<std::int32_t> id(n);
        for (std::size_t t = 0; t < n; ++t) id[t] = std::int32_t((7 * t + 3) % e);
        real out(n * m), dw(n * e), dy(n * e * m), picked(n * m), sent(n * e * m);
        for (std::size_t t = 0; t < n; ++t)
          for (std::size_t i = 0; i < e; ++i)
            for (std::size_t j = 0; j < m; ++j) {
              const std::size_t at = (t * e + i) * m + j;
              out[t * m + j] += double(w[t * e + i]) * double(y[at]);
              dw[t * e + i] += double(g[t * m + j]) * double(y[at]);
              dy[at] = double(w[t * e + i]) * double(g[t * m + j]);
              if (id[t] == std::int32_t(i)) picked[t * m + j] = double(y[at]), sent[at] = double(g[t * m + j]);
            }
        check_overwrites<T>("weighted_sum", out, [&](T* o) { b.weighted_sum(n, e, m, w.data(), y.data(), o); });
        const auto c = draw<T>(n * e * e, "c"), z = draw<T>(n * e * m, "z");
        for (const bool turned : {false, true})
          for (const std::size_t stride : {std::size_t(0), e * e}) {
            real mixed(n * e * m);
            for (std::size_t r = 0; r < n * e; ++r)
              for (std::size_t j = 0; j < e; ++j)
                for (std::size_t l = 0; l < m; ++l)
                  mixed[r * m + l] += double(c[r / e * stride + (turned ? j * e + r % e : r % e * e + j)]) *
                                      double(y[(r / e * e + j) * m + l]);
            if (n > 0 || stride > 0)
              check<T>("mix_experts", mixed, [&](T beta, T* o) {
                b.mix_experts(n, e, m, stride, turned, c.data(), y.data(), beta, o);
              });
          }
        real dots(n * e * e);
        for (std::size_t r = 0; r < n * e * e; ++r)
          for (std::size_t l = 0; l < m; ++l)
            dots[r] += double(y[r / e * m + l]) * double(z[(r / (e * e) * e + r % e) * m + l]);
        check<T>("dot_experts", dots,
                 [&](T beta, T* o) { b.dot_experts(n, e, m, y.data(), z.data(), beta, o); });
        check<T>("weighted_sum, dw", dw, [&](T beta, T* o) {
          b.weighted_sum_gradient(n, e, m, w.data(), y.data(), g.data(), beta, o, T(0), nullptr);
        });
        check<T>("weighted_sum, dy", dy, [&](T beta, T* o) {
          b.weighted_sum_gradient(n, e, m, w.data(), y.data(), g.data(), T(0), nullptr, beta, o);
        });
        check_overwrites<T>("pick", picked, [&](T* o) { b.pick(n, e, m, id.data(), y.data(), o); });
        check<T>("pick_gradient", sent, [&](T beta, T* o) { b.pick_gradient(n, e, m, id.data(), g.data(), beta, o); });
      }
}

TEMPLATE_TEST_CASE("backend: routing", "", float, double) {
  using T = TestType;
  basic_cpu<T> b{1, 2};
  for (const std::size_t n : {0, 1, 50})
    for (const std::size_t k : {1, 2, 5}) {
      const std::size_t e = 5, m = 7;
      const auto scores = draw<T>(n * e, "scores"), w = draw<T>(n * k, "w"), g = draw<T>(n * m, "g"),
                 y = draw<T>(n * k * m, "y");
      std::vector<std::int32_t> id(n * k), offsets(e + 1), position(n * k), source(n * k);
      b.top_k(n, e, k, scores.data(), id.data());
      for (std::size_t i = 0; i < n * k; ++i) {
        const T s = scores[i / k * e + std::size_t(id[i])];
        std::size_t larger = 0;
        for (std::size_t j = 0; j < e; ++j) larger += scores[i / k * e + j] > s;
        CHECK(larger == i % k);
      }
      b.permute(n, e, k, id.data(), offsets.data(), position.data(), source.data());
      const permutation p{n, k, e, offsets.data(), position.data(), source.data()};
      real gathered(n * k), scattered(n * e), combined(n * m), ones(n * m), dw(n * k), dy(n * k * m), rows(n * k * m);
      for (std::size_t i = 0; i < n * k; ++i) {
        gathered[i] = double(scores[i / k * e + std::size_t(id[i])]);
        scattered[i / k * e + std::size_t(id[i])] = double(w[i]);
        for (std::size_t j = 0; j < m; ++j) {
          const std::size_t row = std::size_t(position[i]) * m + j;
          combined[i / k * m + j] += double(w[i]) * double(y[row]), ones[i / k * m + j] += double(y[row]);
          dw[i] += double(g[i / k * m + j]) * double(y[row]), dy[row] = double(w[i]) * double(g[i / k * m + j]);
          rows[i * m + j] = double(g[std::size_t(source[i]) * m + j]);
        }
      }
      check_overwrites<T>("gather_columns", gathered,
                          [&](T* o) { b.gather_columns(n, e, k, scores.data(), id.data(), o); });
      check_overwrites<T>("gather_rows", rows, [&](T* o) { b.gather_rows(n * k, n, m, g.data(), source.data(), o); });
      check_overwrites<T>("combine_gradient, dy", dy, [&](T* o) {
        b.combine_gradient(p, m, w.data(), y.data(), g.data(), T(0), nullptr, o);
      });
      check<T>("combine_gradient, dw", dw, [&](T beta, T* o) {
        b.combine_gradient(p, m, w.data(), y.data(), g.data(), beta, o, nullptr);
      });
      check<T>("combine", combined, [&](T beta, T* o) { b.combine(p, m, w.data(), y.data(), beta, o); });
      check<T>("combine without weights", ones, [&](T beta, T* o) { b.combine(p, m, nullptr, y.data(), beta, o); });
      check<T>("gather_columns_gradient", scattered,
               [&](T beta, T* o) { b.gather_columns_gradient(n, e, k, w.data(), id.data(), beta, o); });
    }
}

TEMPLATE_TEST_CASE("backend: cross-entropy and optimiser steps", "", float, double) {
  using T = TestType;
  basic_cpu<T> b{1, 2};
  for (const std::size_t n : {1, 33})
    for (const std::size_t c : {1, 10, 33}) {
      const auto x = draw<T>(n * c, "x");
      std::vector<std::int32_t> label(n);
      for (std::size_t t = 0; t < n; ++t) label[t] = std::int32_t((5 * t + 1) % c);
      real gradient(n * c);
      double loss = 0;
      for (std::size_t t = 0; t < n; ++t) {
        double total = 0;
        for (std::size_t j = 0; j < c; ++j) total += std::exp(double(x[t * c + j]));
        for (std::size_t j = 0; j < c; ++j)
          gradient[t * c + j] = (std::exp(double(x[t * c + j])) / total - (label[t] == std::int32_t(j))) / double(n);
        loss += (std::log(total) - double(x[t * c + std::size_t(label[t])])) / double(n);
      }
      T value = 0;
      check_overwrites<T>("cross_entropy gradient", gradient,
                          [&](T* g) { b.cross_entropy(n, c, x.data(), label.data(), &value, g); });
      CHECK(support::near(double(value), loss, tolerance<T>));
      b.cross_entropy(n, c, x.data(), label.data(), &value, nullptr);
      CHECK(support::near(double(value), loss, tolerance<T>));
    }
  const std::size_t n = 40001;  // several chunks, and a second tensor
  auto w = draw<T>(n, "w"), m = draw<T>(n, "m"), v = draw<T>(n, "v"), small = draw<T>(3, "small");
  for (T& x : v) x = x * x;
  const auto g = draw<T>(n, "g");
  const real W = wide(w), M = wide(m), V = wide(v), G = wide(g);
  auto w2 = w, m2 = m;
  const auto before = small;
  update_task<T> large, plain;
  large.size = n, large.w = w.data(), large.g = g.data(), large.m = m.data(), large.v = v.data(), large.step = 3;
  plain.size = 3, plain.w = small.data(), plain.g = g.data();
  const update_task<T> first[] = {large};
  b.update(adamw_step{0.1, 0.9, 0.99, 1e-3, 0.2, 0.5}, first);
  large.w = w2.data(), large.m = m2.data(), large.v = nullptr;
  const update_task<T> second[] = {large};
  b.update(sgd_step{0.1, 0.9, 0.2, 0.5}, second);
  const update_task<T> third[] = {plain};
  b.update(sgd_step{0.1, 0, 0.2, 0.5}, third);
  double worst = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double a = 0.9 * M[i] + 0.1 * 0.5 * G[i], s = 0.99 * V[i] + 0.01 * 0.25 * G[i] * G[i];
    const double adam =
        W[i] - 0.1 * (0.2 * W[i] + a / (1 - std::pow(0.9, 3)) / (std::sqrt(s / (1 - std::pow(0.99, 3))) + 1e-3));
    const double momentum = 0.9 * M[i] + 0.5 * G[i] + 0.2 * W[i];
    worst = std::fmax(worst, std::fabs(double(w[i]) - adam) / std::fmax(1, std::fabs(adam)));
    worst = std::fmax(worst, std::fabs(double(w2[i]) - (W[i] - 0.1 * momentum)) / std::fmax(1, std::fabs(W[i])));
    worst = std::fmax(worst, std::fabs(double(m[i]) - a) + std::fabs(double(v[i]) - s));
  }
  CHECK(worst < 10 * tolerance<T>);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(support::near(double(small[i]), double(before[i]) - 0.1 * (0.5 * G[i] + 0.2 * double(before[i])),
                        tolerance<T>));
}

TEST_CASE("backend: large operations have the same bits for any number of threads") {
  const std::size_t n = 600, d = 150, k = 3;
  const auto x = draw<float>(n * d, "x"), y = draw<float>(n * d, "y");
  std::vector<std::vector<float>> all;
  for (const int threads : {1, 2, 3, 4}) {
    cpu b{1, threads};
    std::vector<float> out(14 * n * d, 0.f);
    float* at = out.data();
    const auto next = [&] { return at += n * d; };
    b.rows(row_function::softmax, n, d, x.data(), at), next();
    b.rows(row_function::log_sum_exp, n, d, x.data(), at), next();
    b.rows_gradient(row_function::softmax, n, d, x.data(), out.data(), y.data(), 0, at), next();
    b.dot_rows(n, d, x.data(), y.data(), 0, at), next();
    b.column_sums(n, d, d, 1, x.data(), 0, at), next();
    b.sum(n * d, 1, x.data(), at), next();
    b.weighted_sum(n, 10, 15, y.data(), x.data(), at), next();
    b.map(fn::exponential{}, n * d, x.data(), at), next();
    b.mix_experts(n, 10, 15, 100, true, x.data(), y.data(), 0, at), next();
    b.dot_experts(n, 10, 15, x.data(), y.data(), 0, at), next();
    b.axpy(n * d, 2, x.data(), 0, at), next();
    std::vector<std::int32_t> id(n * k), offsets(d + 1), position(n * k), source(n * k);
    b.top_k(n, d, k, x.data(), id.data());
    b.permute(n, d, k, id.data(), offsets.data(), position.data(), source.data());
    for (std::size_t i = 0; i < id.size(); ++i) at[i] = float(id[i]), at[id.size() + i] = float(position[i]);
    next();
    b.combine({n, k, d, offsets.data(), position.data(), source.data()}, 50, y.data(), x.data(), 0, at);
    all.push_back(out);
  }
  for (const auto& out : all) CHECK(out == all[0]);
}

TEST_CASE("backend: memory of every size is aligned, one's own, and given back") {
  cpu b{1, 1};
  constexpr std::size_t large = std::size_t{1} << 21;
  std::vector<std::pair<std::byte*, std::size_t>> blocks;
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, large - 1, large, large + 1, 3 * large - 5, 5 * large + 70000}) {
    auto* p = static_cast<std::byte*>(b.allocate(n));
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 64 == 0);
#if defined(__SANITIZE_ADDRESS__)
    if (n) CHECK_FALSE(__asan_address_is_poisoned(p + n - 1));
    CHECK(__asan_address_is_poisoned(p + std::max<std::size_t>(n, 1)));
#endif
    std::fill_n(p, n, std::byte(blocks.size()));
    blocks.emplace_back(p, n);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto [p, n] = blocks[i];
    CHECK(std::all_of(p, p + n, [&](std::byte v) { return v == std::byte(i); }));
  }
  for (const auto& [p, n] : blocks) b.deallocate(p, n);
  for (int i = 0; i < 140000; ++i) b.deallocate(b.allocate(std::size_t{1} << 30), std::size_t{1} << 30);  // 137 TiB if kept: there are 128
  CHECK_THROWS_AS(b.allocate(std::size_t{1} << 60), std::bad_alloc);
  CHECK_THROWS_AS(b.allocate(~std::size_t{0}), std::bad_alloc);
}

TEST_CASE("backend: threads, seeds and draws") {
  cpu b{5, 3};
  CHECK(b.threads() == 3);
  CHECK(b.seed() == 5);
  b.set_threads(1);
  CHECK(b.threads() == 1);
  b.set_threads(0);
  CHECK(b.threads() >= 1);
  CHECK(std::string(cpu::name()) == "cpu");
  CHECK(support::contains(support::message([] { cpu(1, -1); }), "cpu: expected threads >= 0, found -1"));
  const auto first = b.normal(100, 20), second = b.normal(100, 20);
  CHECK(first != second);
  cpu again{5, 1};
  CHECK(again.normal(100, 20) == first);
  CHECK(cpu{6, 1}.normal(100, 20) != first);
  double sum = 0, squares = 0;
  for (const float v : first.data) sum += double(v), squares += double(v) * double(v);
  CHECK(std::fabs(sum / 2000) < 0.1);
  CHECK(std::fabs(squares / 2000 - 1) < 0.15);
  cpu moved = std::move(again);
  CHECK(moved.seed() == 5);
}
