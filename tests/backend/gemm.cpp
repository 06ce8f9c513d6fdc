// multiply() and pack() against triple loops in double; the same bits for any number of threads.
#include "modx/backend/cpu/gemm.hpp"
#include "modx/backend/cpu/gemm_eigen.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "catch.hpp"

using namespace modx::kernels;

namespace {

template <class T>
struct aligned {  // n elements on a 64-byte boundary
  explicit aligned(std::size_t n)
      : data(static_cast<T*>(::operator new(n * sizeof(T) + 64, std::align_val_t{64}))) {
    for (std::size_t i = 0; i < n; ++i) data[i] = T(-77);
  }
  ~aligned() { ::operator delete(data, std::align_val_t{64}); }
  aligned(const aligned&) = delete;
  aligned& operator=(const aligned&) = delete;
  T* data;
};

struct generator {
  std::uint32_t state = 12345;
  double operator()() {
    state = state * 1664525u + 1013904223u;
    return (static_cast<double>(state >> 8) / 8388608.0) - 1.0;
  }
  template <class T>
  std::vector<T> values(std::size_t n) {
    std::vector<T> v(n);
    for (T& x : v) x = static_cast<T>((*this)());
    return v;
  }
};

template <class T>
view<T> stored(const std::vector<T>& data, std::size_t rows, std::size_t cols, bool transposed,
               std::size_t slack) {
  return transposed ? view<T>{data.data(), 1, static_cast<std::ptrdiff_t>(rows + slack)}
                    : view<T>{data.data(), static_cast<std::ptrdiff_t>(cols + slack), 1};
}

template <class T>
double at(const view<T>& v, std::size_t i, std::size_t j) {
  return static_cast<double>(
      v.data[static_cast<std::ptrdiff_t>(i) * v.row_stride + static_cast<std::ptrdiff_t>(j) * v.col_stride]);
}

/// One random product with everything it points to, and the worst relative error of a computed one.
template <class T>
struct problem {
  std::size_t m, n, k, ldc;
  std::vector<T> a, b, c, pre, bias, gate;
  view<T> va, vb;
  aligned<T> packed;
  product<T> call;

  problem(generator& r, std::size_t m_, std::size_t n_, std::size_t k_, bool ta, bool tb, T beta,
          bool has_bias, activation act, bool keep_pre, bool gated = false)
      : m(m_),
        n(n_),
        k(k_),
        ldc(n_ + 3),
        a(r.values<T>((m_ + 2) * (k_ + 2))),
        b(r.values<T>((k_ + 1) * (n_ + 1))),
        c(r.values<T>(m_ * ldc + 1)),
        pre(m_ * ldc + 1, T(-5)),
        bias(r.values<T>(n_ + 1)),
        gate(gated ? r.values<T>(m_ * ldc + 1) : std::vector<T>{}),
        va(stored(a, m_, k_, ta, 2)),
        vb(stored(b, k_, n_, tb, 1)),
        packed(packed_size<T>(k_, n_)) {
    if (beta == T(0)) {  // must not be read
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < n; ++j) c[i * ldc + j] = std::numeric_limits<T>::quiet_NaN();
      }
    }
    call = {m,
            n,
            k,
            va,
            packed.data,
            beta,
            c.data(),
            ldc,
            has_bias ? bias.data() : nullptr,
            act,
            keep_pre ? pre.data() : nullptr,
            gated ? gate.data() : nullptr};
  }

  double error(const std::vector<T>& c0) const {
    double worst = 0;
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < ldc; ++j) {
        const std::size_t at_c = i * ldc + j;
        if (j >= n) {  // what is between the rows stays
          if (!(c[at_c] == c0[at_c]) || pre[at_c] != T(-5)) return 1e9;
          continue;
        }
        double sum = 0, scale = 1;
        for (std::size_t l = 0; l < k; ++l) {
          const double term = at(va, i, l) * at(vb, l, j);
          sum += term;
          scale += std::abs(term);
        }
        if (call.beta != T(0)) sum += static_cast<double>(call.beta) * static_cast<double>(c0[at_c]);
        if (call.bias) sum += static_cast<double>(bias[j]);
        if (call.pre) worst = std::max(worst, std::abs(sum - static_cast<double>(pre[at_c])) / scale);
        const double want = call.gate && !(gate[at_c] > T(0)) ? 0 : modx::activate(call.act, sum);
        const double off = std::abs(want - static_cast<double>(c[at_c])) / scale;
        worst = std::max(worst, std::isnan(off) ? 1e9 : off);
      }
    }
    return worst;
  }
};

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;

constexpr std::size_t sizes[] = {0, 1, 2, 5, 6, 7, 13, 15, 16, 17, 31, 32, 33, 100};

}  // namespace

TEMPLATE_TEST_CASE("multiply equals the triple loop at every size and transposition", "[gemm]", float,
                   double) {
  generator r;
  thread_pool pool(2);
  double worst = 0;
  int variant = 0;
  for (std::size_t m : sizes) {
    for (std::size_t n : sizes) {
      for (std::size_t k : sizes) {
        for (int t = 0; t < 4; ++t, ++variant) {
          const TestType betas[] = {TestType(0), TestType(1), TestType(0.5)};
          const auto act = static_cast<activation>(variant % 5);
          problem<TestType> p(r, m, n, k, t & 1, t & 2, betas[variant % 3], variant % 2, act,
                              variant % 7 == 0);
          const auto c0 = p.c;
          pack<TestType>(pool, k, n, p.vb, p.packed.data);
          multiply<TestType>(pool, std::span<const product<TestType>>(&p.call, 1));
          const double error = p.error(c0);
          if (!(error <= tolerance<TestType>)) {
            CAPTURE(m, n, k, t, variant, error);
            CHECK(error <= tolerance<TestType>);
          }
          worst = std::max(worst, error);
        }
      }
    }
  }
  CHECK(worst <= tolerance<TestType>);
}

TEMPLATE_TEST_CASE("multiply: every beta, bias, activation, pre and gate together, over several blocks of k",
                   "[gemm]", float, double) {
  generator r;
  thread_pool pool(2);
  for (std::size_t k : {0u, 3u, 300u, 1100u}) {
    for (TestType beta : {TestType(0), TestType(1), TestType(0.5)}) {
      for (int act = 0; act < 5; ++act) {
        for (int flags = 0; flags < 16; ++flags) {
          problem<TestType> p(r, 23, 37, k, flags & 4, false, beta, flags & 1, static_cast<activation>(act),
                              flags & 2, flags & 8);
          const auto c0 = p.c;
          pack<TestType>(pool, k, p.n, p.vb, p.packed.data);
          multiply<TestType>(pool, std::span<const product<TestType>>(&p.call, 1));
          CAPTURE(k, beta, act, flags);
          CHECK(p.error(c0) <= tolerance<TestType>);
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("multiply has the same bits for any number of threads", "[gemm]", float, double) {
  const auto run = [](int threads) {
    generator r;
    thread_pool pool(threads);
    std::vector<std::unique_ptr<problem<TestType>>> group;
    std::vector<product<TestType>> calls;
    const std::size_t shapes[][3] = {{0, 16, 5},  {300, 70, 700}, {1, 200, 64}, {65, 0, 9},
                                     {33, 17, 0}, {129, 256, 50}, {7, 5, 3},    {200, 300, 280}};
    for (const auto& [m, n, k] : shapes) {
      group.push_back(std::make_unique<problem<TestType>>(r, m, n, k, group.size() % 2, false, TestType(1),
                                                          true, activation::gelu, true));
      pack<TestType>(pool, k, n, group.back()->vb, group.back()->packed.data);
      calls.push_back(group.back()->call);
    }
    std::vector<std::vector<TestType>> before;
    for (const auto& p : group) before.push_back(p->c);
    multiply<TestType>(pool, calls);
    std::vector<TestType> all;
    for (std::size_t i = 0; i < group.size(); ++i) {
      CHECK(group[i]->error(before[i]) <= tolerance<TestType>);
      all.insert(all.end(), group[i]->c.begin(), group[i]->c.end());
      all.insert(all.end(), group[i]->pre.begin(), group[i]->pre.end());
    }
    return all;
  };
  const auto one = run(1);
  for (int threads : {1, 2, 3, 4}) {
    const auto other = run(threads);
    REQUIRE(other.size() == one.size());
    CHECK(std::memcmp(other.data(), one.data(), one.size() * sizeof(TestType)) == 0);
  }
}

TEMPLATE_TEST_CASE("our tiles and Eigen's agree", "[gemm]", float, double) {
  generator r;
  thread_pool pool(1);
  for (std::size_t m : {1u, 5u, 64u, 97u}) {
    for (std::size_t n : {1u, 16u, 50u, 130u}) {
      for (std::size_t k : {0u, 1u, 9u, 300u}) {
        for (int flags = 0; flags < 8; ++flags) {
          problem<TestType> p(r, m, n, k, flags & 1, false, TestType((flags & 2) / 4.0), true,
                              flags & 4 ? activation::silu : activation::none, flags & 4);
          const auto c0 = p.c;
          pack<TestType>(pool, k, n, p.vb, p.packed.data);
          const std::size_t panels = (n + panel_width<TestType> - 1) / panel_width<TestType>;
          CAPTURE(m, n, k, flags);
          modx::kernels::detail::block_tiles(p.call, p.call.packed_b, modx::kernels::panel_width<TestType>, 0, m, 0, panels);
          CHECK(p.error(c0) <= tolerance<TestType>);
          p.c = c0;
          modx::kernels::detail::block_eigen(p.call, 0, m, 0, panels);
          CHECK(p.error(c0) <= tolerance<TestType>);
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("multiply: a row's bits do not depend on the rows beside it", "[gemm]", float, double) {
  generator r;
  thread_pool pool(1);
  problem<TestType> all(r, 100, 40, 1500, false, false, TestType(0), true, activation::gelu, false);
  pack<TestType>(pool, all.k, all.n, all.vb, all.packed.data);
  multiply<TestType>(pool, std::span<const product<TestType>>(&all.call, 1));
  for (std::size_t m : {1u, 2u, 3u, 4u, 9u, 31u}) {
    std::vector<TestType> c(m * all.ldc);
    product<TestType> few = all.call;
    few.m = m;
    few.c = c.data();
    multiply<TestType>(pool, std::span<const product<TestType>>(&few, 1));
    bool same = true;
    for (std::size_t i = 0; i < m; ++i) {
      same = same && std::memcmp(&c[i * all.ldc], &all.c[i * all.ldc], all.n * sizeof(TestType)) == 0;
    }
    CAPTURE(m);
    CHECK((same || MODX_EIGEN_PANELS));
  }
}

TEMPLATE_TEST_CASE("pack writes panels padded with zeros", "[gemm]", float, double) {
  generator r;
  thread_pool pool(3);
  for (bool transposed : {false, true}) {
    for (std::size_t n : sizes) {
      const std::size_t k = 11, width = packed_size<TestType>(1, 1), panels = (n + width - 1) / width;
      REQUIRE(packed_size<TestType>(k, n) == panels * k * width);
      const auto b = r.values<TestType>((k + 1) * (n + 1));
      const auto v = stored(b, k, n, transposed, 1);
      aligned<TestType> out(panels * k * width + 1);
      pack<TestType>(pool, k, n, v, out.data);
      bool same = out.data[panels * k * width] == TestType(-77);  // nothing after the end
      for (std::size_t l = 0; l < k; ++l) {
        for (std::size_t j = 0; j < panels * width; ++j) {
          const double want = j < n ? at(v, l, j) : 0.0;
          same = same && static_cast<double>(out.data[(j / width * k + l) * width + j % width]) == want;
        }
      }
      CAPTURE(transposed, n);
      CHECK(same);
    }
  }
}

TEST_CASE("multiply says what is wrong with a product", "[gemm]") {
  thread_pool pool(1);
  float data[64] = {};
  product<float> p{2, 2, 2, {data, 3, 2}, data, 0.f, data, 2};
  CHECK_THROWS_AS(multiply<float>(pool, std::span<const product<float>>(&p, 1)), modx::error);
  p.a = {data, 2, 1};
  p.ldc = 1;
  CHECK_THROWS_AS(multiply<float>(pool, std::span<const product<float>>(&p, 1)), modx::error);
  const view<float> crooked{data, 2, 3};
  CHECK_THROWS_AS(pack<float>(pool, 2, 2, crooked, data), modx::error);
}

TEST_CASE("multiply lets NaN and infinity through", "[gemm]") {
  thread_pool pool(1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> a{1, nan, 2, 3}, c(2 * 2, 0.f);
  const std::vector<float> b{1, 1, 1, 1};
  aligned<float> packed(packed_size<float>(2, 2));
  pack<float>(pool, 2, 2, view<float>{b.data(), 2, 1}, packed.data);
  for (auto act :
       {activation::none, activation::relu, activation::gelu, activation::silu, activation::tanh}) {
    product<float> p{2, 2, 2, {a.data(), 2, 1}, packed.data, 0.f, c.data(), 2, nullptr, act};
    multiply<float>(pool, std::span<const product<float>>(&p, 1));
    CAPTURE(static_cast<int>(act));
    CHECK(std::isnan(c[0]));
    CHECK(std::abs(c[2] - modx::activate(act, 5.0f)) < 1e-5f);
  }
}

TEST_CASE("activations and their slopes are accurate", "[gemm]") {
  for (auto act :
       {activation::none, activation::relu, activation::gelu, activation::silu, activation::tanh}) {
    double value = 0, slope = 0, numeric = 0;
    for (double x = -30; x <= 30; x += 0.01) {
      const double f = modx::activate(act, x), d = modx::activation_slope(act, x), h = 1e-6;
      value = std::max(value, std::abs(f - static_cast<double>(modx::activate(act, static_cast<float>(x)))) /
                                  std::max(1.0, std::abs(x)));
      slope = std::max(slope,
                       std::abs(d - static_cast<double>(modx::activation_slope(act, static_cast<float>(x)))));
      if (std::abs(x) > 1e-3) {
        numeric = std::max(numeric,
                           std::abs(d - (modx::activate(act, x + h) - modx::activate(act, x - h)) / (2 * h)));
      }
    }
    CAPTURE(static_cast<int>(act));
    CHECK(value < 1e-6);
    CHECK((act == activation::relu ? slope < 1.5 : slope < 2e-6));
    CHECK(numeric < 1e-6);
  }
  CHECK(modx::activate(activation::relu, -3.f) == 0.f);
  CHECK(modx::activation_slope(activation::relu, 0.0) == 0.0);
}

TEMPLATE_TEST_CASE("activate_row and its backward equal the scalars at every length, in place too", "[gemm]",
                   float, double) {
  generator r;
  for (std::size_t n : sizes) {
    const auto x = r.values<TestType>(n), dy = r.values<TestType>(n);
    for (int kind = 0; kind < 5; ++kind) {
      const auto act = static_cast<activation>(kind);
      std::vector<TestType> y(n + 1, TestType(9)), dx(dy);
      activate_row(act, n, x.data(), y.data());
      activate_row_backward(act, n, x.data(), dx.data(), dx.data());
      double worst = y[n] == TestType(9) ? 0 : 1;
      for (std::size_t i = 0; i < n; ++i) {
        const TestType want_y = modx::activate(act, x[i]),
                       want_dx = dy[i] * modx::activation_slope(act, x[i]);
        worst = std::max(worst, std::abs(static_cast<double>(y[i] - want_y)));
        worst = std::max(worst, std::abs(static_cast<double>(dx[i] - want_dx)));
      }
      CAPTURE(n, kind);
      CHECK(worst <= tolerance<TestType>);
    }
  }
}
