// Norms, rotary positions, attention and means over sequences: gradients, plain definitions, who sees whom,
// bits.
#include <modx/ops/attention.hpp>

#include "catch.hpp"
#include "check.hpp"

using namespace support;
namespace ops = modx::ops;

namespace {

using lengths = std::vector<std::size_t>;

/// The plain definition, in double: softmax(q k^T / sqrt(d)) v per sequence, group and head.
modx::matrix<double> plain_attention(const modx::matrix<double>& x, modx::head_layout h, const lengths& list,
                                     bool causal) {
  modx::matrix<double> y(x.rows, h.groups * h.queries());
  std::size_t first = 0;
  for (const std::size_t length : list) {
    for (std::size_t t = 0; t < length; ++t)
      for (std::size_t g = 0; g < h.groups; ++g)
        for (std::size_t i = 0; i < h.heads; ++i) {
          const std::size_t at = g * h.columns(), kh = i / (h.heads / h.kv_heads);
          std::vector<double> w;
          double total = 0;
          for (std::size_t s = 0; s < (causal ? t + 1 : length); ++s) {
            double dot = 0;
            for (std::size_t j = 0; j < h.head_dim; ++j)
              dot += x(first + t, at + i * h.head_dim + j) *
                     x(first + s, at + h.queries() + kh * h.head_dim + j);
            w.push_back(std::exp(dot / std::sqrt(double(h.head_dim))));
            total += w.back();
          }
          for (std::size_t s = 0; s < w.size(); ++s)
            for (std::size_t j = 0; j < h.head_dim; ++j)
              y(first + t, g * h.queries() + i * h.head_dim + j) +=
                  w[s] / total * x(first + s, at + h.queries() + h.keys() + kh * h.head_dim + j);
        }
    first += length;
  }
  return y;
}

template <class B>
modx::var<B> attend(modx::tape<B>& t, modx::var<B> x, modx::head_layout h, const lengths& list,
                    bool causal = true) {
  t.context.sequence = t.sequences_of(list);
  return ops::attention(x, h, causal);
}

modx::matrix<double> drawn(std::size_t n, std::size_t d, std::uint64_t seed = 7) {
  return modx::laws::draw(seed, "x", n, d);
}

struct attention_case {
  modx::head_layout heads;
  lengths list;
};
const attention_case cases[] = {
    {{.heads = 1, .kv_heads = 1, .head_dim = 1}, {1}},
    {{.heads = 2, .kv_heads = 2, .head_dim = 4}, {3, 1, 5}},
    {{.heads = 4, .kv_heads = 2, .head_dim = 3}, {7, 2}},
    {{.heads = 2, .kv_heads = 1, .head_dim = 2, .groups = 3}, {4, 0, 3}},
};
const attention_case large[] = {
    {{.heads = 2, .kv_heads = 1, .head_dim = 17}, {130, 300, 1}},
    {{.heads = 1, .kv_heads = 1, .head_dim = 8}, {600}},
};
std::size_t sum(const lengths& list) {
  std::size_t n = 0;
  for (const auto l : list) n += l;
  return n;
}

}  // namespace

TEST_CASE("norms have true gradients") {
  const named_function alone[] = {
      {"layer_norm", [](auto&, inputs x) { return ops::square(ops::layer_norm(x[0], x[1], x[2])); }},
      {"rms_norm", [](auto&, inputs x) { return ops::square(ops::rms_norm(x[0], x[1])); }},
  };
  for (const auto& op : alone) CHECK_NOTHROW(check_gradients(op, {{4, 5}, {1, 5}, {1, 5}}));
  for (const auto& op : alone)
    CHECK_NOTHROW(check_gradients(op, {{4, 15}, {3, 5}, {3, 5}}));  // each group its own
  for (const auto& op : alone) CHECK_NOTHROW(check_gradients(op, {{4, 5}, {3, 5}, {3, 5}}));  // one x for all
  CHECK_NOTHROW(check_gradients(
      {"of itself", [](auto&, inputs x) { return ops::rms_norm(x[0], ops::mean_of_rows(x[0])); }}, {{3, 5}}));
}

TEST_CASE("norms compute what they say, in many chunks too") {
  cpu64 backend{1, 2};
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{1, 2, 3, 6}, {-4, 4, -4, 4}}));
  const auto gain = t.input(rows({{1, 1, 2, 1}})), bias = t.input(rows({{0, 1, 0, 0}}));
  const double s = std::sqrt(3.5);
  CHECK(
      near(ops::layer_norm(x, gain, bias, 0).host(), rows({{-2 / s, -1 / s + 1, 0, 3 / s}, {-1, 2, -2, 1}})));
  const double r = std::sqrt(12.5);
  CHECK(near(ops::rms_norm(x, gain, 0).host(), rows({{1 / r, 2 / r, 6 / r, 6 / r}, {-1, 1, -2, 1}})));
  const auto many = drawn(3000, 24);
  const auto ones = t.constant(1, 24, 1);
  const auto y = ops::layer_norm(t.input(many), ones, t.constant(1, 24, 0)).host();
  for (const std::size_t i : {std::size_t(0), std::size_t(1700), std::size_t(2999)}) {
    double mean = 0, square = 0;
    for (std::size_t j = 0; j < 24; ++j) mean += y(i, j) / 24, square += y(i, j) * y(i, j) / 24;
    CHECK(std::fabs(mean) < 1e-12);
    CHECK(square == Approx(1).epsilon(1e-3));
  }
}

TEST_CASE("attention equals its plain definition") {
  for (const bool causal : {true, false})
    for (const auto* list : {&cases, static_cast<decltype(&cases)>(nullptr)}) {
      if (!list) continue;
      for (const auto& c : *list) {
        cpu64 backend{1, 2};
        modx::tape<cpu64> t(backend);
        const auto x = drawn(sum(c.list), c.heads.groups * c.heads.columns());
        CHECK(near(attend(t, t.input(x), c.heads, c.list, causal).host(),
                   plain_attention(x, c.heads, c.list, causal)));
      }
    }
  for (const auto& c : large) {  // more than a block of queries and of keys
    cpu64 backend{1, 2};
    modx::tape<cpu64> t(backend);
    const auto x = drawn(sum(c.list), c.heads.columns());
    CHECK(near(attend(t, t.input(x), c.heads, c.list).host(), plain_attention(x, c.heads, c.list, true)));
    modx::basic_cpu<float> single{1, 2};
    modx::tape<modx::basic_cpu<float>> tf(single);
    modx::matrix<float> xf(x.rows, x.cols);
    for (std::size_t i = 0; i < x.data.size(); ++i) xf.data[i] = float(x.data[i]);
    const auto y = attend(tf, tf.input(xf), c.heads, c.list).host();
    const auto want = plain_attention(x, c.heads, c.list, true);
    double worst = 0;
    for (std::size_t i = 0; i < y.data.size(); ++i)
      worst = std::max(worst, std::fabs(double(y.data[i]) - want.data[i]));
    CHECK(worst < 3e-6);
  }
}

TEST_CASE("attention and rotary positions have true gradients") {
  for (const bool causal : {true, false})
    for (const auto& c : cases) {
      const modx::shape io{sum(c.list), c.heads.groups * c.heads.columns()};
      CHECK_NOTHROW(check_gradients(
          {"attention", [&](auto& t, inputs x) { return attend(t, x[0], c.heads, c.list, causal); }}, {io}));
      CHECK_NOTHROW(check_gradients({"attention of what is read again",
                                     [&](auto& t, inputs x) {
                                       const auto y = ops::square(x[0]);
                                       t.context.sequence = t.sequences_of(c.list);
                                       const auto a = ops::attention(y, c.heads, causal);
                                       return ops::sum(a) + ops::sum(ops::square(y));
                                     }},
                                    {io}));
    }
  const modx::head_layout h{.heads = 2, .kv_heads = 1, .head_dim = 4, .groups = 2};
  const lengths list{3, 2};
  const auto turned = [&](auto& t, inputs x, auto... gains) {
    t.context.sequence = t.sequences_of(list);
    return ops::square(ops::rotary(x[0], h, 100, gains...));
  };
  CHECK_NOTHROW(check_gradients({"rotary", [&](auto& t, inputs x) { return turned(t, x); }}, {{5, 32}}));
  CHECK_NOTHROW(
      check_gradients({"rotary, normalised", [&](auto& t, inputs x) { return turned(t, x, x[1], x[2]); }},
                      {{5, 32}, {1, 4}, {1, 4}}));
  CHECK_NOTHROW(check_gradients({"sequence_means",
                                 [&](auto& t, inputs x) {
                                   t.context.sequence = t.sequences_of(lengths{2, 0, 3});
                                   return ops::square(ops::sequence_means(x[0]));
                                 }},
                                {{5, 3}}));
  CHECK_NOTHROW(check_gradients(
      {"gated", [](auto&, inputs x) { return ops::gated(x[0], modx::activation::silu, 2); }}, {{3, 12}}));
  CHECK_NOTHROW(check_gradients(
      {"matmul_transposed", [](auto&, inputs x) { return ops::square(ops::matmul_transposed(x[0], x[1])); }},
      {{4, 3}, {5, 3}}));
  CHECK_NOTHROW(check_gradients(
      {"a a^T", [](auto&, inputs x) { return ops::square(ops::matmul_transposed(x[0], x[0])); }}, {{4, 3}}));
}

TEST_CASE("rotary positions: what a query and a key say depends on how far apart they are") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const modx::head_layout h{.heads = 1, .kv_heads = 1, .head_dim = 6};
  const std::size_t n = 9;
  modx::matrix<double> x(n, h.columns());
  const auto one = drawn(1, h.columns());
  for (std::size_t i = 0; i < n; ++i)
    std::copy(one.data.begin(), one.data.end(), x.data.begin() + std::ptrdiff_t(i * h.columns()));
  t.context.sequence = t.sequences_of(lengths{n});
  const auto y = ops::rotary(t.input(x), h, 100).host();
  const auto dot = [&](std::size_t a, std::size_t b) {
    double s = 0;
    for (std::size_t j = 0; j < 6; ++j) s += y(a, j) * y(b, 6 + j);
    return s;
  };
  CHECK(dot(5, 2) == Approx(dot(8, 5)).epsilon(1e-12));
  CHECK(std::fabs(dot(5, 2) - dot(5, 4)) > 1e-3);
  for (std::size_t j = 0; j < 6; ++j) {
    CHECK(y(0, j) == x(0, j));            // place 0 turns nothing
    CHECK(y(7, 12 + j) == x(7, 12 + j));  // values are never turned
  }
  // by hand: the pair (1, 4) of the query at place 3 turns by 3 / 100^(2/6)
  const double angle = 3 * std::pow(100.0, -2.0 / 6);
  CHECK(y(3, 1) == Approx(x(3, 1) * std::cos(angle) - x(3, 4) * std::sin(angle)).epsilon(1e-12));
  CHECK(y(3, 4) == Approx(x(3, 4) * std::cos(angle) + x(3, 1) * std::sin(angle)).epsilon(1e-12));
}

TEST_CASE("causal attention is causal, and sequences don't see each other: the same bits") {
  const modx::head_layout h{.heads = 2, .kv_heads = 1, .head_dim = 8, .groups = 2};
  const lengths list{290, 3, 140};
  const auto run = [&](const modx::matrix<float>& x, int threads) {
    modx::cpu backend{1, threads};
    modx::tape<modx::cpu> t(backend);
    t.context.sequence = t.sequences_of(list);
    return ops::attention(ops::rotary(t.input(x), h), h).host();
  };
  const auto draw = drawn(433, h.groups * h.columns());
  modx::matrix<float> x(draw.rows, draw.cols);
  for (std::size_t i = 0; i < draw.data.size(); ++i) x.data[i] = float(draw.data[i]);
  const auto y = run(x, 1);
  CHECK(run(x, 3) == y);
  for (const std::size_t token :
       {std::size_t(0), std::size_t(131), std::size_t(289), std::size_t(291), std::size_t(300)}) {
    auto changed = x;
    for (std::size_t j = 0; j < x.cols; ++j) changed(token, j) += 1;
    const auto z = run(changed, 1);
    const std::size_t end = token < 290 ? 290 : token < 293 ? 293 : 433;
    std::size_t different = 0, wrong = 0;
    for (std::size_t t = 0; t < x.rows; ++t) {
      bool same = true;
      for (std::size_t j = 0; j < y.cols; ++j) same = same && y(t, j) == z(t, j);
      different += !same;
      wrong += !same && (t < token || t >= end);
    }
    CHECK(different == end - token);
    CHECK(wrong == 0);
  }
}

TEST_CASE("a row of attention has the same bits whatever is asked for with it") {
  const modx::head_layout h{.heads = 4, .kv_heads = 2, .head_dim = 16};
  const std::size_t n = 300;
  const auto draw = drawn(n, h.columns());
  modx::matrix<float> x(draw.rows, draw.cols);
  for (std::size_t i = 0; i < draw.data.size(); ++i) x.data[i] = float(draw.data[i]);
  modx::cpu backend{1, 2};
  modx::tape<modx::cpu> t(backend);
  const auto whole = attend(t, t.input(x), h, {n});
  const auto data = t.input(x);
  for (const std::size_t at : {std::size_t(0), std::size_t(5), std::size_t(255), std::size_t(256), n - 1}) {
    modx::attention_task task;  // one query, and every key up to its own: what a cache holds
    task.heads = 4, task.kv_heads = 2, task.head_dim = 16;
    task.q_row = task.kv_row = h.columns(), task.out_row = h.queries();
    task.scale = 0.25;
    task.q = t.sequences_of(lengths{1});
    task.kv = t.sequences_of(lengths{at + 1});
    std::vector<float> y(h.queries());
    backend.attention(task, data.data() + at * h.columns(), data.data() + h.queries(),
                      data.data() + h.queries() + h.keys(), y.data(), nullptr);
    for (std::size_t j = 0; j < y.size(); ++j) REQUIRE(y[j] == whole.data()[at * h.queries() + j]);
  }
}

TEST_CASE("what attention can't take it says") {
  cpu64 backend{1, 1};
  modx::tape<cpu64> t(backend);
  const modx::head_layout h{.heads = 2, .kv_heads = 1, .head_dim = 4};
  const auto x = t.input(drawn(3, 16));
  CHECK(contains(message([&] { ops::attention(x, h); }),
                 "attention: expected the sequences that the tokens form"));
  t.context.sequence = t.sequences_of(lengths{2});
  CHECK(contains(message([&] { ops::attention(x, h); }),
                 "tokens in the sequences"));
  CHECK(contains(message([&] { ops::attention(x, {.heads = 3, .kv_heads = 2, .head_dim = 4}); }),
                 "a multiple of the key heads"));
  CHECK(contains(message([&] { ops::attention(x, {.heads = 1, .kv_heads = 1, .head_dim = 4}); }), "12"));
  CHECK(contains(
      message([&] { ops::rotary(t.input(drawn(3, 9)), {.heads = 1, .kv_heads = 1, .head_dim = 3}); }),
      "an even head width"));
  CHECK(contains(message([&] { ops::rms_norm(x, t.constant(1, 5, 1)); }),
                 "rms_norm: expected 5 columns, found 16"));
  CHECK(contains(message([&] { ops::gated(t.input(drawn(3, 5)), modx::activation::silu); }), "gated"));
}
