// conv2d and max_pool against plain loops in double: values, winners, gradients; the same bits for any thread
// count.
#include "modx/backend/cpu/conv.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace modx::kernels;

namespace {

template <class T>
constexpr T quiet = std::numeric_limits<T>::quiet_NaN();

struct generator {
  std::uint32_t state = 99;
  double operator()() {
    state = state * 1664525u + 1013904223u;
    return (static_cast<double>(state >> 8) / 8388608.0) - 1.0;
  }
  template <class T>
  std::vector<T> values(std::size_t n,
                        double grid) {  // multiples of 1 / grid: sums are exact and ties happen
    std::vector<T> v(n);
    for (T& x : v) x = static_cast<T>(grid > 0 ? std::round((*this)() * grid) / grid : (*this)());
    return v;
  }
};

/// Everything that one layer computes, as plain loops in double.
struct naive {
  std::size_t ho, wo, hp, wp;
  std::vector<double> y, dx, dw, dbias;
  std::vector<unsigned char> argmax;

  template <class T>
  naive(const conv_shape& s, const std::vector<T>& x, const std::vector<T>& w, const std::vector<T>& bias,
        bool relu, const std::vector<T>& dy)
      : ho(s.h + 2 * s.pad + 1 - s.kernel),
        wo(s.w + 2 * s.pad + 1 - s.kernel),
        hp(ho / s.pool),
        wp(wo / s.pool),
        y(s.n * hp * wp * s.cout),
        dx(x.size()),
        dw(w.size()),
        dbias(bias.size()),
        argmax(y.size()) {
    const auto each_tap = [&](std::size_t n, std::size_t i, std::size_t j, std::size_t co, auto&& f) {
      for (std::size_t ty = 0; ty < s.kernel; ++ty) {
        for (std::size_t tx = 0; tx < s.kernel; ++tx) {
          const auto row = static_cast<std::ptrdiff_t>(i + ty) - static_cast<std::ptrdiff_t>(s.pad);
          const auto col = static_cast<std::ptrdiff_t>(j + tx) - static_cast<std::ptrdiff_t>(s.pad);
          if (row < 0 || col < 0 || row >= static_cast<std::ptrdiff_t>(s.h) ||
              col >= static_cast<std::ptrdiff_t>(s.w))
            continue;
          for (std::size_t ci = 0; ci < s.cin; ++ci) {
            f(((n * s.h + static_cast<std::size_t>(row)) * s.w + static_cast<std::size_t>(col)) * s.cin + ci,
              ((ty * s.kernel + tx) * s.cin + ci) * s.cout + co);
          }
        }
      }
    };
    for (std::size_t o = 0; o < y.size(); ++o) {
      const std::size_t co = o % s.cout, j = o / s.cout % wp, i = o / s.cout / wp % hp,
                        n = o / s.cout / wp / hp;
      for (std::size_t q = 0; q < s.pool * s.pool; ++q) {
        double sum = bias.empty() ? 0.0 : static_cast<double>(bias[co]);
        each_tap(n, i * s.pool + q / s.pool, j * s.pool + q % s.pool, co,
                 [&](std::size_t px, std::size_t pw) {
                   sum += static_cast<double>(x[px]) * static_cast<double>(w[pw]);
                 });
        if (relu && sum < 0) sum = 0;
        if (q == 0 || sum > y[o]) {
          y[o] = sum;
          argmax[o] = static_cast<unsigned char>(q);
        }
      }
      const double g = relu && !(y[o] > 0) ? 0.0 : static_cast<double>(dy[o]);
      if (!dbias.empty()) dbias[co] += g;
      each_tap(n, i * s.pool + argmax[o] / s.pool, j * s.pool + argmax[o] % s.pool, co,
               [&](std::size_t px, std::size_t pw) {
                 dx[px] += g * static_cast<double>(w[pw]);
                 dw[pw] += g * static_cast<double>(x[px]);
               });
    }
  }
};

template <class T>
double difference(const std::vector<T>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return 1e9;
  double worst = 0, scale = 1;
  for (double v : want) scale = std::max(scale, std::abs(v));
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(static_cast<double>(got[i]) - want[i]) / scale;
    worst = std::max(worst, std::isnan(d) ? 1e9 : d);
  }
  return worst;
}

/// Every output of the kernels under test.
template <class T>
struct computed {
  std::vector<T> y, dx, dw, dbias;
  std::vector<unsigned char> argmax;

  computed(thread_pool& pool, const conv_shape& s, const std::vector<T>& x, const std::vector<T>& w,
           const std::vector<T>& bias, bool relu, const std::vector<T>& dy, T beta, T first)
      : y(dy.size(), T(-7)),
        dx(x.size(), beta == T(0) ? quiet<T> : first),
        dw(w.size(), first),
        dbias(bias.size(), first),
        argmax(dy.size(), 255) {
    const T* b = bias.empty() ? nullptr : bias.data();
    std::vector<T> forward(conv_workspace<T>(s, false), quiet<T>),
        backward(conv_workspace<T>(s, true), quiet<T>);
    unsigned char* winners = s.pool > 1 ? argmax.data() : nullptr;
    conv2d_forward<T>(pool, s, x.data(), w.data(), b, relu, y.data(), winners, forward.data());
    conv2d_backward<T>(pool, s, x.data(), w.data(), relu, y.data(), winners, dy.data(), dx.data(), beta,
                       dw.data(), bias.empty() ? nullptr : dbias.data(), backward.data());
    for (T& v : dx) v -= beta * first;
    for (T& v : dw) v -= first;
    for (T& v : dbias) v -= first;
  }
};

template <class T>
void compare(thread_pool& pool, generator& r, const conv_shape& s, bool relu, bool has_bias, T beta,
             double grid) {
  const std::size_t ho = s.h + 2 * s.pad + 1 - s.kernel, wo = s.w + 2 * s.pad + 1 - s.kernel;
  const auto x = r.values<T>(s.n * s.h * s.w * s.cin, grid);
  const auto w = r.values<T>(s.kernel * s.kernel * s.cin * s.cout, grid);
  const auto bias = r.values<T>(has_bias ? s.cout : 0, grid);
  const auto dy = r.values<T>(s.n * (ho / s.pool) * (wo / s.pool) * s.cout, grid);
  const naive want(s, x, w, bias, relu, dy);
  const computed<T> got(pool, s, x, w, bias, relu, dy, beta, T(0.25));
  CAPTURE(s.n, s.h, s.w, s.cin, s.cout, s.kernel, s.pad, s.pool, relu, has_bias, beta);
  const double tolerance = sizeof(T) == 4 ? 2e-5 : 1e-13;
  CHECK(difference(got.y, want.y) <= tolerance);
  CHECK((s.pool == 1 || got.argmax == want.argmax));
  CHECK(difference(got.dx, want.dx) <= tolerance);
  CHECK(difference(got.dw, want.dw) <= tolerance);
  CHECK(difference(got.dbias, want.dbias) <= tolerance);
}

}  // namespace

TEMPLATE_TEST_CASE("conv2d equals plain loops for every kernel, padding, pool and width", "[conv]", float,
                   double) {
  generator r;
  thread_pool pool(2);
  int variant = 0;
  for (std::size_t kernel : {1u, 3u, 5u}) {
    for (std::size_t pad : {0u, 1u, 2u}) {
      for (std::size_t pooling : {1u, 2u, 3u}) {
        for (std::size_t cin : {1u, 3u, 16u, 33u}) {
          for (std::size_t cout : {1u, 3u, 16u, 33u}) {
            const conv_shape s{2, 7, 9, cin, cout, kernel, pad, pooling};
            compare<TestType>(pool, r, s, variant % 2, variant % 3 != 0, TestType(variant % 4) / 2, 8);
            ++variant;
          }
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("conv2d at odd extents, empty batches and outputs that pooling swallows", "[conv]", float,
                   double) {
  generator r;
  thread_pool pool(3);
  for (const conv_shape& s : {conv_shape{1, 1, 1, 1, 1, 1, 0, 1}, conv_shape{3, 1, 13, 2, 5, 3, 1, 1},
                              conv_shape{0, 5, 5, 3, 4, 3, 1, 2}, conv_shape{2, 3, 3, 2, 2, 3, 0, 2},
                              conv_shape{70, 5, 6, 2, 3, 3, 1, 2}, conv_shape{2, 29, 30, 1, 40, 5, 2, 2},
                              conv_shape{1, 4, 40, 17, 20, 1, 2, 3}, conv_shape{2, 8, 8, 0, 4, 3, 1, 2},
                              conv_shape{2, 8, 8, 4, 0, 3, 1, 2}, conv_shape{5, 6, 6, 48, 64, 3, 1, 2}}) {
    for (bool relu : {false, true}) compare<TestType>(pool, r, s, relu, true, TestType(0.5), 8);
  }
  // values off the grid, where rounding differs between orders
  for (const conv_shape& s :
       {conv_shape{9, 14, 14, 32, 64, 3, 1, 1}, conv_shape{9, 28, 28, 1, 32, 3, 1, 1}}) {
    compare<TestType>(pool, r, s, false, true, TestType(0), 0);
  }
}

TEMPLATE_TEST_CASE("conv2d has the same bits for any number of threads", "[conv]", float, double) {
  for (const conv_shape& s :
       {conv_shape{37, 14, 14, 5, 20, 3, 1, 2}, conv_shape{3, 11, 13, 1, 33, 5, 2, 1}}) {
    const std::size_t ho = s.h + 2 * s.pad + 1 - s.kernel, wo = s.w + 2 * s.pad + 1 - s.kernel;
    generator r;
    const auto x = r.values<TestType>(s.n * s.h * s.w * s.cin, 0);
    const auto w = r.values<TestType>(s.kernel * s.kernel * s.cin * s.cout, 0);
    const auto bias = r.values<TestType>(s.cout, 0);
    const auto dy = r.values<TestType>(s.n * (ho / s.pool) * (wo / s.pool) * s.cout, 0);
    const auto same = [](const auto& a, const auto& b) {
      return a.size() == b.size() && !a.empty() &&
             std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
    };
    thread_pool alone(1);
    const computed<TestType> one(alone, s, x, w, bias, true, dy, TestType(1), TestType(0.25));
    for (int threads : {1, 2, 3, 4}) {
      thread_pool pool(threads);
      const computed<TestType> other(pool, s, x, w, bias, true, dy, TestType(1), TestType(0.25));
      CAPTURE(threads);
      CHECK(same(one.y, other.y));
      CHECK(same(one.argmax, other.argmax));
      CHECK(same(one.dx, other.dx));
      CHECK(same(one.dw, other.dw));
      CHECK(same(one.dbias, other.dbias));
    }
  }
}

TEST_CASE("conv2d_backward computes only what is asked for, to the same bits", "[conv]") {
  const conv_shape s{5, 9, 8, 3, 18, 3, 1, 2};
  generator r;
  thread_pool pool(2);
  const auto x = r.values<float>(s.n * s.h * s.w * s.cin, 0), w = r.values<float>(9 * s.cin * s.cout, 0);
  const auto bias = r.values<float>(s.cout, 0), dy = r.values<float>(s.n * 4 * 4 * s.cout, 0);
  const computed<float> all(pool, s, x, w, bias, true, dy, 0.f, 0.f);
  std::vector<float> dx(x.size(), 1), dw(w.size()), dbias(bias.size()),
      workspace(conv_workspace<float>(s, true));
  const auto backward = [&](float* a, float* b, float* c) {
    conv2d_backward<float>(pool, s, x.data(), w.data(), true, all.y.data(), all.argmax.data(), dy.data(), a,
                           0.f, b, c, workspace.data());
  };
  backward(dx.data(), nullptr, nullptr);
  CHECK(dx == all.dx);
  backward(nullptr, dw.data(), nullptr);
  CHECK(dw == all.dw);
  backward(nullptr, nullptr, dbias.data());
  CHECK(dbias == all.dbias);
  backward(nullptr, nullptr, nullptr);
}

TEST_CASE("conv2d_backward ignores pixels that pooling drops", "[conv]") {
  const conv_shape s{1, 3, 9, 2, 3, 3, 0, 2};  // one row of outputs, no room for a window
  thread_pool pool(1);
  const std::vector<float> x(3 * 9 * 2, quiet<float>), w(9 * 2 * 3, 1.f);
  std::vector<float> dx(x.size(), 5.f), dw(w.size(), 2.f), workspace(conv_workspace<float>(s, true));
  conv2d_backward<float>(pool, s, x.data(), w.data(), true, nullptr, nullptr, nullptr, dx.data(), 0.f,
                         dw.data(), nullptr, workspace.data());
  CHECK(dx == std::vector<float>(x.size(), 0.f));
  CHECK(dw == std::vector<float>(w.size(), 2.f));
}

TEMPLATE_TEST_CASE("max_pool equals plain loops, first of equals, NaN kept", "[conv]", float, double) {
  generator r;
  for (int threads : {1, 3}) {
    thread_pool pool(threads);
    for (std::size_t pooling : {1u, 2u, 3u}) {
      for (std::size_t c : {1u, 3u, 16u, 33u}) {
        const conv_shape s{3, 7, 8, c, c, 1, 0, pooling};
        const std::size_t hp = s.h / pooling, wp = s.w / pooling;
        const auto x = r.values<TestType>(s.n * s.h * s.w * c, 2),
                   dy = r.values<TestType>(s.n * hp * wp * c, 2);
        std::vector<TestType> one(c * c);
        for (std::size_t i = 0; i < c; ++i) one[i * c + i] = 1;
        const naive want(s, x, one, std::vector<TestType>(), false, dy);
        std::vector<TestType> y(dy.size()), dx(x.size(), TestType(3));
        std::vector<unsigned char> argmax(dy.size(), 200);
        max_pool_forward<TestType>(pool, s, x.data(), y.data(), argmax.data());
        CHECK(difference(y, want.y) == 0);
        CHECK(argmax == want.argmax);
        max_pool_backward<TestType>(pool, s, dy.data(), argmax.data(), dx.data(), TestType(0.5));
        for (TestType& v : dx) v -= TestType(1.5);
        CHECK(difference(dx, want.dx) == 0);
        dx.assign(dx.size(), quiet<TestType>);
        max_pool_backward<TestType>(pool, s, dy.data(), argmax.data(), dx.data(), TestType(0));
        CHECK(difference(dx, want.dx) == 0);
      }
    }
    std::vector<TestType> x{1, quiet<TestType>, 5, 2}, y(1);
    unsigned char where = 0;
    max_pool_forward<TestType>(pool, {1, 2, 2, 1, 1, 1, 0, 2}, x.data(), y.data(), &where);
    CHECK(std::isnan(y[0]));
    CHECK(where == 1);
  }
}

TEST_CASE("conv2d says what is wrong with a shape", "[conv]") {
  const auto what = [](const conv_shape& s) -> std::string {
    try {
      conv_workspace<float>(s, true);
    } catch (const modx::error& e) {
      return e.what();
    }
    return "";
  };
  CHECK(what({1, 5, 5, 1, 1, 3, 1, 2}) == "");
  CHECK(what({1, 5, 5, 1, 1, 0, 1, 2}) == "modx: conv2d: expected kernel >= 1, found 0");
  CHECK(what({1, 5, 5, 1, 1, 8, 1, 2}) ==
        "modx: conv2d: expected kernel <= h + 2 pad and w + 2 pad, found 8");
  CHECK(what({1, 5, 5, 1, 1, 3, 1, 0}) == "modx: conv2d: expected pool in 1..16, found 0");
  CHECK(what({1, 5, 5, 1, 1, 3, 1, 17}) == "modx: conv2d: expected pool in 1..16, found 17");
  thread_pool pool(1);
  float v[64] = {};
  CHECK_THROWS_AS(
      conv2d_backward<float>(pool, {1, 4, 4, 1, 1, 3, 1, 2}, v, v, true, v, nullptr, v, v, 0.f, v, v, v),
      modx::error);
  CHECK_THROWS_AS(max_pool_backward<float>(pool, {1, 4, 4, 1, 1, 3, 1, 2}, v, nullptr, v, 0.f), modx::error);
}
