// Products in bfloat16: the sum that is promised, from vectors, from a model of AMX's tiles, and from AMX where there is any;
// and what a backend does that was told to use_bf16().
#include <modx/backend/cpu/gemm.hpp>
#include <modx/modx.hpp>

#include <cstdio>

#include "catch.hpp"
#include "support.hpp"

using namespace modx;
using support::contains;
using support::message;

namespace {

float rounded(float x) { return from_bf16(to_bf16(x)); }
float flushed(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }

struct modelled_tile {
  std::size_t rows = 0, bytes = 0;
  std::uint32_t data[kernels::amx_rows][16] = {};
};
/// Eight tiles as Intel's manual defines them; what would be an invalid instruction there throws here.
struct modelled_tiles {
  inline static modelled_tile tiles[8];
  inline static bool configured = false;
  inline static std::size_t products = 0;

  static void require(bool fine, const char* what) {
    if (!fine) throw error(std::string("modelled tiles: ") + what);
  }
  static void configure(const kernels::amx_config& c) {
    require(c.palette == 1 && c.start_row == 0, "palette 1");
    for (int t = 0; t < 8; ++t) {
      require(c.rows[t] > 0 && c.rows[t] <= 16 && c.row_bytes[t] > 0 && c.row_bytes[t] <= 64, "a tile's extents");
      require(c.row_bytes[8 + t] == 0 && c.rows[8 + t] == 0, "tiles 8 to 15 unused");
      tiles[t] = {c.rows[t], c.row_bytes[t], {}};
    }
    for (const auto x : c.reserved) require(x == 0, "reserved bytes");
    configured = true;
  }
  static void release() { configured = false; }
  static modelled_tile& at(int t) {
    require(configured, "a configuration");
    return tiles[t];
  }
  template <int t>
  static void zero() {
    std::memset(at(t).data, 0, sizeof at(t).data);
  }
  template <int t>
  static void load(const void* p, std::size_t stride) {
    for (std::size_t r = 0; r < at(t).rows; ++r)
      std::memcpy(at(t).data[r], static_cast<const std::byte*>(p) + r * stride, at(t).bytes);
  }
  template <int t>
  static void store(void* p, std::size_t stride) {
    for (std::size_t r = 0; r < at(t).rows; ++r)
      std::memcpy(static_cast<std::byte*>(p) + r * stride, at(t).data[r], at(t).bytes);
  }
  template <int c, int a, int b>
  static void multiply() {
    modelled_tile &sum = at(c), &left = at(a), &right = at(b);
    require(c != a && c != b && a != b, "three different tiles");
    require(sum.rows == left.rows && sum.bytes == right.bytes && left.bytes == 4 * right.rows, "extents that fit");
    const auto number = [](std::uint32_t bits) { return flushed(std::bit_cast<float>(bits)); };
    for (std::size_t m = 0; m < sum.rows; ++m)
      for (std::size_t n = 0; n < sum.bytes / 4; ++n) {
        float even = 0, odd = 0;
        for (std::size_t k = 0; k < left.bytes / 4; ++k) {
          const std::uint32_t x = left.data[m][k], y = right.data[k][n];
          even = flushed(std::fma(number(x << 16), number(y << 16), even));
          odd = flushed(std::fma(number(x & 0xffff0000u), number(y & 0xffff0000u), odd));
        }
        const float before = number(sum.data[m][n]);
        sum.data[m][n] = std::bit_cast<std::uint32_t>(flushed(before + flushed(even + odd)));
      }
    ++products;
  }
};

struct idle_tiles : modelled_tiles {  // of a machine that says that it has some
  template <int c, int a, int b>
  static void multiply() {}
};

/// The sum of docs and header, one by one.
float promised(std::size_t k, const float* a, std::ptrdiff_t a_stride, const float* b, std::ptrdiff_t b_stride) {
  float total = 0;
  for (std::size_t l0 = 0; l0 < k; l0 += 32) {
    float part[2] = {0, 0};
    for (std::size_t l = l0; l < std::min(k, l0 + 32); ++l)
      part[l % 2] = std::fma(rounded(a[std::ptrdiff_t(l) * a_stride]), rounded(b[std::ptrdiff_t(l) * b_stride]), part[l % 2]);
    total += part[0] + part[1];
  }
  return total;
}

struct problem {
  std::size_t m, n, k;
  bool turned;
  std::vector<float> a, b, bias;
  std::vector<std::uint16_t> packed;
  kernels::product<float> p;

  problem(std::size_t m_, std::size_t n_, std::size_t k_, bool turned_, double scale = 1) : m(m_), n(n_), k(k_), turned(turned_) {
    const random_stream random(7, "bf16");
    a.resize(m * k), b.resize(k * n), bias.resize(n);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = float(scale * random.normal(i));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = float(scale * random.normal(1000000 + i));
    for (std::size_t i = 0; i < n; ++i) bias[i] = float(random.normal(2000000 + i));
    packed.resize(kernels::bf16_size<float>(k, n));
    const kernels::bf16_pack<float> pack{k, 0, n, {b.data(), std::ptrdiff_t(n), 1}, packed.data()};
    for (std::size_t i = 0; i < pack.panels(); ++i) pack.run(i);
    p.m = m, p.n = n, p.k = k, p.packed_bf16 = packed.data(), p.rounded = true;
    p.a = turned ? kernels::view<float>{a.data(), 1, std::ptrdiff_t(m)} : kernels::view<float>{a.data(), std::ptrdiff_t(k), 1};
  }
  float expected(std::size_t i, std::size_t j) const {
    return promised(k, a.data() + (turned ? i : i * k), turned ? std::ptrdiff_t(m) : 1, b.data() + j, std::ptrdiff_t(n));
  }
};

/// c, three floats wider than the product, by one of the ways.
template <class F>
std::vector<float> computed(const problem& x, F way) {
  std::vector<float> c(x.m * (x.n + 3), -5);
  auto p = x.p;
  p.c = c.data(), p.ldc = x.n + 3;
  const kernels::flush_denormals mode;
  way(p);
  return c;
}
template <class Tiles>
auto by_tiles(const problem& x) {
  return computed(x, [](const auto& p) { kernels::detail::bf16_by_tiles<Tiles>(p, 0, p.m, 0, p.n); });
}
auto by_vectors(const problem& x) {
  return computed(x, [](const auto& p) { kernels::detail::bf16_by_vectors(p, 0, p.m, 0, p.n); });
}
/// Calls f for problems with every kind of edge.
template <class F>
void each_problem(F f) {
  for (const std::size_t m : {1, 2, 15, 16, 17, 32, 33, 70})
    for (const std::size_t n : {1, 16, 17, 32, 33, 100})
      for (const std::size_t k : {0, 1, 2, 31, 32, 33, 64, 75}) f(problem(m, n, k, (m + n + k) % 3 == 0));
  f(problem(40, 48, 1100, false));
  f(problem(20, 40, 70, false, 1e-19));  // products near the least float, and factors that bfloat16 has as denormals
  f(problem(20, 40, 70, true, 1e-20));
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
outcome train(bool bf16, int threads = 1) {
  cpu b{1, threads};
  b.use_bf16(bf16);
  auto m = build(b, experts(), {.in = 6, .out = 6});
  const auto x = b.normal(64, 6);
  auto target = x;
  for (float& v : target.data) v = std::fabs(v);
  outcome out;
  for (int step = 0; step < 40; ++step) out.losses.push_back(train_step(m, optimizer::adamw{.lr = 0.01}, loss::mse{}, x, target));
  for (auto* p : m.parameters()) out.weights.push_back(p->host());
  return out;
}

}  // namespace

TEST_CASE("bf16 panels: every element is where bf16_at says, the rest is 0, and columns come back") {
  for (const auto& [k, n] : {std::pair<std::size_t, std::size_t>{1, 1}, {2, 15}, {7, 16}, {64, 33}, {75, 100}}) {
    const problem x(1, n, k, false);
    std::vector<std::uint16_t> expected(x.packed.size(), 0);
    for (std::size_t l = 0; l < k; ++l)
      for (std::size_t j = 0; j < n; ++j) expected[kernels::bf16_at<float>(k, l, j)] = to_bf16(x.b[l * n + j]);
    CHECK(x.packed == expected);
    std::vector<float> back(k);
    kernels::unpack_bf16_columns(k, n - 1, 1, x.packed.data(), back.data());
    for (std::size_t l = 0; l < k; ++l) CHECK(back[l] == rounded(x.b[l * n + n - 1]));
    CHECK(x.packed.size() * sizeof(std::uint16_t) <= kernels::packed_size<float>(k, n) * sizeof(float));
  }
}

TEST_CASE("bf16: vectors make the promised sum, bit for bit") {
  each_problem([](const problem& x) {
    CAPTURE(x.m, x.n, x.k, x.turned);
    const auto c = by_vectors(x);
    const kernels::flush_denormals mode;
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < x.m; ++i)
      for (std::size_t j = 0; j < x.n + 3; ++j) wrong += !(c[i * (x.n + 3) + j] == (j < x.n ? x.expected(i, j) : -5));
    CHECK(wrong == 0);
  });
}

TEST_CASE("bf16: a model of AMX's tiles makes the bits of the vectors") {
  modelled_tiles::products = 0;
  each_problem([](const problem& x) {
    CAPTURE(x.m, x.n, x.k, x.turned);
    CHECK(by_tiles<modelled_tiles>(x) == by_vectors(x));
    CHECK_FALSE(modelled_tiles::configured);
  });
  CHECK(modelled_tiles::products > 1000);
  CHECK(kernels::detail::tiles_are_right<modelled_tiles>());
}

TEST_CASE("bf16: tiles that go wrong are found before they are used") {
  CHECK_FALSE(kernels::detail::tiles_are_right<idle_tiles>());
}

TEST_CASE("bf16: AMX makes the bits of the vectors") {
  const std::string engine = cpu::bf16_engine();
  if (engine != "AMX") {
    CHECK(contains(engine, "vectors: "));
    std::printf("MODX_SKIP: %s\n", engine.c_str());
    return;
  }
#if MODX_HAS_AMX_CODE
  each_problem([](const problem& x) {
    CAPTURE(x.m, x.n, x.k, x.turned);
    CHECK(by_tiles<kernels::amx_tiles>(x) == by_vectors(x));
  });
#endif
}

TEST_CASE("bf16: a backend makes the promised sum with every ending, packed or frozen, at any number of rows and threads") {
  const std::size_t k = 75, n = 100;
  for (const bool frozen : {false, true}) {
    std::vector<matrix<float>> all;
    for (const int threads : {1, 2}) {
      cpu b{1, threads};
      b.use_bf16(true);
      parameter_list<cpu> list;
      builder<cpu> make(b, list, 3);
      auto& w = make.make("w", k, n, init::normal(1));
      auto& bias = make.make("bias", 1, n, init::normal(1));
      const auto values = w.host(), shift = bias.host();
      if (frozen) b.pack_bf16(k, 0, n, matrix_view<float>::plain(values.data.data(), n), w.freeze_bf16(false));
      const auto x = b.normal(300, k);
      tape<cpu> t(b);
      const auto whole = ops::linear(t.input(x), t.use(w), t.use(bias), activation::relu).host();
      for (const std::size_t rows : {1, 2, 3, 20, 129}) {
        const auto some = ops::linear(t.input(std::span(x.data).first(rows * k), rows, k), t.use(w), t.use(bias), activation::relu).host();
        CHECK(std::equal(some.data.begin(), some.data.end(), whole.data.begin()));
      }
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < 300; ++i)
        for (std::size_t j = 0; j < n; ++j)
          wrong += whole(i, j) != std::max(0.0f, promised(k, &x.data[i * k], 1, &values.data[j], std::ptrdiff_t(n)) + shift.data[j]);
      CHECK(wrong == 0);
      all.push_back(whole);
    }
    CHECK(all[0] == all[1]);
  }
}

TEST_CASE("bf16: gradients are products of rounded operands, too") {
  cpu b{1, 2};
  parameter_list<cpu> list;
  builder<cpu> make(b, list, 3);
  auto& w = make.make("w", 40, 30, init::normal(1));
  const auto in = b.normal(50, 40), weights = b.normal(50, 30), value = w.host();
  b.use_bf16(true);
  tape<cpu> t(b);
  const auto x = t.input(in.data, 50, 40, true);
  t.backward(ops::sum(ops::linear(x, t.use(w)) * t.input(weights)));
  const auto dx = t.tensor(x.gradient(), 50, 40).host(), dw = t.tensor(w.gradient(), 40, 30).host();
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < 50; ++i)
    for (std::size_t l = 0; l < 40; ++l) wrong += dx(i, l) != promised(30, &weights.data[i * 30], 1, &value.data[l * 30], 1);
  CHECK(wrong == 0);
  for (std::size_t l = 0; l < 40; ++l)
    for (std::size_t j = 0; j < 30; ++j) wrong += dw(l, j) != promised(50, &in.data[l], 40, &weights.data[j], 30);
  CHECK(wrong == 0);
}

TEST_CASE("bf16: experts round, their router does not, and all is as before when it is off again") {
  cpu b{1, 2};
  auto m = build(b, experts(), {.in = 6, .out = 6});
  const auto x = b.normal(50, 6);
  const auto look = [&] {
    tape<cpu> t(b);
    const auto y = m.forward(t.input(x));
    return std::pair(routings(t)->all.host(), y.host());
  };
  const auto [weights, y] = look();
  b.use_bf16(true);
  const auto [same, rough] = look();
  CHECK(weights == same);
  double off = 0;
  for (std::size_t i = 0; i < y.data.size(); ++i) off = std::max(off, double(std::fabs(y.data[i] - rough.data[i])));
  CHECK(off > 0);
  CHECK(off < 0.03);
  b.use_bf16(false);
  CHECK(look().second == y);
}

TEST_CASE("bf16: training has nearly the losses of float, keeps its weights in float, and the same bits for any number of threads") {
  const auto plain = train(false), rough = train(true);
  CHECK(rough == train(true, 2));
  CHECK(rough.losses != plain.losses);
  CHECK(rough.losses.back() < 0.5 * rough.losses.front());
  CHECK(std::fabs(rough.losses.back() - plain.losses.back()) < 0.05 * plain.losses.back());
  bool finer = false;
  for (const auto& w : rough.weights)
    for (const float v : w.data) finer = finer || rounded(v) != v;
  CHECK(finer);
}

TEST_CASE("bf16: a weight is packed once an update, as its products use it") {
  cpu b{1, 1};
  parameter<cpu> p(b, "p", 20, 30);
  p.set(std::vector<float>(600, 1.0f));
  b.use_bf16(true);
  for (const bool exact : {false, true}) {
    pack_task<float> task;
    p.packed(false, exact, task);
    CHECK(task.out != nullptr);
    p.packed(false, exact, task);
    CHECK(task.out == nullptr);
    p.mutable_value();
    std::size_t stale = 0;
    p.each_stale([&](const auto& t) { stale += t.exact == exact; });
    CHECK(stale == 1);
    p.packed(false, exact, task);
    CHECK(task.out == nullptr);
  }
}

TEST_CASE("bf16 is for float") {
  basic_cpu<double> wide{1, 1};
  CHECK(contains(message([&] { wide.use_bf16(true); }), "use_bf16: expected a backend of float, found one of double"));
  wide.use_bf16(false);
}
