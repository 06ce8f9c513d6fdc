// coupling::hypergraph: the laws, the operator from its incidence lists, closed forms, odd hyperedges, every
// part alive.
#include <modx/coupling/hypergraph.hpp>
#include <modx/laws/coupling.hpp>

#include "catch.hpp"
#include "coupling/alive.hpp"

using namespace coupled;
using modx::coupling::hypergraph;
using kind = hypergraph::kind;
static_assert(modx::CouplingGraph<hypergraph, cpu64> && modx::CouplingGraph<hypergraph, modx::cpu>);
static_assert(!modx::Couples<hypergraph, cpu64, modx::slot_outputs<cpu64>>,
              "top-k mixtures can't be coupled");

namespace {

using lists = std::vector<std::vector<std::size_t>>;
double gelu(double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }
hypergraph own(lists edges) { return {.edges = kind::custom, .custom = std::move(edges)}; }

/// Node by node over the memberships: z = h W first, the mean of each hyperedge, the weighted mean of those a
/// node is in.
matrix<double> plainly(const part<hypergraph>& c, const hypergraph& s, const matrix<double>& y, std::size_t e,
                       std::size_t m) {
  const auto edges = s.hyperedges(e);
  matrix<double> w(edges.size(), 1);
  for (double& v : w.data) v = 1;
  if (c.has("weights")) {
    w = c.value("weights");
    for (double& v : w.data) v = std::log1p(std::exp(v));
  }
  auto h = y;
  for (std::size_t l = 0; l < s.layers; ++l) {
    const auto theta = c.value(std::to_string(l) + ".weight"), b = c.value(std::to_string(l) + ".bias");
    auto next = h;
    for (std::size_t t = 0; t < y.rows; ++t)
      for (std::size_t k = 0; k < m; ++k) {
        std::vector<double> z(e, 0.0), sum(e, 0.0), degree(e, 0.0);
        for (std::size_t i = 0; i < e; ++i)
          for (std::size_t q = 0; q < m; ++q) z[i] += h(t, i * m + q) * theta(q, k);
        for (std::size_t q = 0; q < edges.size(); ++q) {
          double mean = 0;
          for (const auto j : edges[q]) mean += z[j] / double(edges[q].size());
          for (const auto i : edges[q]) sum[i] += w(q, 0) * mean, degree[i] += w(q, 0);
        }
        for (std::size_t i = 0; i < e; ++i)
          next(t, i * m + k) = h(t, i * m + k) + gelu((degree[i] > 0 ? sum[i] / degree[i] : 0) + b(0, k));
      }
    h = next;
  }
  return h;
}
matrix<double> propagation(const hypergraph& s, std::size_t e, const std::vector<double>& presence = {}) {
  part<hypergraph> c(s, e, 2);
  return c.on_tape([&](auto& t) { return c.bound().propagation(t, std::span<const double>(presence)); });
}

}  // namespace

TEST_CASE("coupling::hypergraph obeys the laws of couplings") {
  cpu64 backend{1, 1};
  for (const auto edges : {kind::pairs, kind::triplets, kind::all})
    for (const std::size_t e : {1, 2, 4})
      CHECK(modx::laws::of_coupling(backend, hypergraph{.edges = edges}, e, 3, {.seed = e}).numbers > 30);
  CHECK(modx::laws::of_coupling(backend, own({{0, 2}, {0, 1, 2}, {3}}), 5, 2).numbers > 30);
}

TEST_CASE("coupling::hypergraph is the plain computation over memberships") {
  for (const std::size_t layers : {1, 2})
    for (const bool learn : {false, true})
      for (auto s : {hypergraph{.edges = kind::pairs}, hypergraph{.edges = kind::triplets},
                     hypergraph{.edges = kind::all}, own({{0, 2}, {0, 1, 2}, {3}, {0, 1, 2}}), own({})}) {
        s.layers = layers, s.learn_weights = learn;
        part<hypergraph> c(s, 5, 3);
        const auto y = modx::laws::draw(3, "y", 6, 15);
        CHECK(near(c(y), plainly(c, s, y, 5, 3), 1e-12));
      }
}

TEST_CASE("coupling::hypergraph with equal weights has the closed forms") {
  const std::size_t e = 5;
  const auto form = [&](double self, double others) {
    matrix<double> p(e, e);
    for (std::size_t i = 0; i < e; ++i)
      for (std::size_t j = 0; j < e; ++j) p(i, j) = i == j ? self : others / double(e - 1);
    return p;
  };
  const auto with = [](kind k) { return hypergraph{.edges = k, .learn_weights = false}; };
  CHECK(near(propagation(with(kind::pairs), e), form(0.5, 0.5), 1e-15));
  CHECK(near(propagation(with(kind::triplets), e), form(1.0 / 3, 2.0 / 3), 1e-15));
  CHECK(near(propagation(with(kind::all), e), form(1.0 / 5, 4.0 / 5), 1e-15));
}

TEST_CASE("coupling::hypergraph: an expert in no hyperedge hears nothing") {
  auto s = own({{0, 2}});
  s.learn_weights = false;
  CHECK(propagation(s, 3) == rows({{0.5, 0, 0.5}, {0, 0, 0}, {0.5, 0, 0.5}}));
  CHECK(propagation(hypergraph{.edges = kind::triplets}, 2) == rows({{0, 0}, {0, 0}}));
  CHECK(propagation(hypergraph{}, 1) == rows({{0}}));
}

TEST_CASE(
    "coupling::hypergraph has m^2 + m parameters a layer, and a weight for each hyperedge where it counts") {
  const auto count = [](hypergraph s, std::size_t e) { return part<hypergraph>(s, e, 8).count(); };
  const std::size_t layer = 72;
  CHECK(count({}, 4) == 2 * layer + 6);
  CHECK(count({.layers = 3}, 5) == 3 * layer + 10);
  CHECK(count({.edges = kind::triplets}, 4) == 2 * layer + 4);
  CHECK(count({.learn_weights = false}, 4) == 2 * layer);
  CHECK(count({.edges = kind::all}, 4) == 2 * layer);  // one hyperedge: D cancels its weight
  CHECK(count({}, 2) == 2 * layer);
  CHECK(hypergraph{}.hyperedges(4) == lists{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}});
  CHECK(hypergraph{.edges = kind::triplets}.hyperedges(4) ==
        lists{{0, 1, 2}, {0, 1, 3}, {0, 2, 3}, {1, 2, 3}});
}

TEST_CASE("coupling::hypergraph: doubling every weight changes nothing, doubling one does") {
  part<hypergraph> c(hypergraph{}, 4, 3);
  const auto y = modx::laws::draw(3, "y", 5, 12);
  const auto with = [&](std::vector<double> w) {
    matrix<double> raw(6, 1);
    for (std::size_t q = 0; q < 6; ++q) raw(q, 0) = std::log(std::expm1(w[q]));
    c.find("weights").set(raw);
    return c(y);
  };
  const auto one = with({1, 1, 1, 1, 1, 1});
  CHECK(near(with({2, 2, 2, 2, 2, 2}), one, 1e-12));
  CHECK_FALSE(near(with({2, 1, 1, 1, 1, 1}), one, 1e-3));
}

TEST_CASE("coupling::hypergraph: the kinds of hyperedges differ in what the mean of the experts is") {
  const auto mean = [](kind k) {
    part<hypergraph> c(hypergraph{.edges = k, .learn_weights = false}, 4, 3);
    const auto z = c(modx::laws::draw(3, "y", 5, 12));
    matrix<double> out(5, 3);
    for (std::size_t t = 0; t < 5; ++t)
      for (std::size_t i = 0; i < 12; ++i) out(t, i % 3) += z(t, i) / 4;
    return out;
  };
  CHECK_FALSE(near(mean(kind::pairs), mean(kind::triplets), 1e-3));
  CHECK_FALSE(near(mean(kind::pairs), mean(kind::all), 1e-3));
  CHECK_FALSE(near(mean(kind::triplets), mean(kind::all), 1e-3));
}

TEST_CASE("coupling::hypergraph over present experts is that of their hyperedges alone") {
  const auto check = [](kind k) {
    const hypergraph s{.edges = k, .learn_weights = false};
    const auto three = propagation(s, 3), of_five = propagation(s, 5, {1, 1, 1, 0, 0});
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j < 5; ++j) {
        INFO(i << " " << j);
        if (i < 3 && j < 3) CHECK(near(of_five(i, j), three(i, j), 1e-15));
        if (j >= 3) CHECK(of_five(i, j) == 0);
      }
    CHECK(near(propagation(s, 5, {1, 1, 1, 1, 1}), propagation(s, 5), 1e-15));
    CHECK_FALSE(near(propagation(s, 5, {1, 1, 1, 0.5, 0}), of_five, 1e-3));
    for (const double v : propagation(s, 5, {0, 0, 0, 0, 0}).data) CHECK(v == 0);
  };
  check(kind::pairs), check(kind::triplets), check(kind::all);
}

TEST_CASE("coupling::hypergraph: every parameter is alive in a mixture") {
  all_alive(mixture_with(hypergraph{}));
  all_alive(mixture_with(hypergraph{.edges = kind::triplets}));
  all_alive(mixture_with(hypergraph{.edges = kind::all}));
  all_alive(mixture_with(own({{0, 1}, {1, 2, 3}})));
}

TEST_CASE("coupling::hypergraph says what is wrong") {
  const auto said = [](const hypergraph& s) { return message([&] { part<hypergraph>(s, 3, 2); }); };
  CHECK(contains(said({.layers = 0}), "coupling::hypergraph: expected layers > 0, found 0"));
  CHECK(contains(said(own({{0, 3}})),
                 "coupling::hypergraph: expected hyperedges of different experts below 3, found 3"));
  CHECK(contains(said(own({{0, 1, 0}})), "expected hyperedges of different experts below 3, found 0 twice"));
  CHECK(contains(said(own({{}})), "expected hyperedges of at least one expert, found an empty one"));
  CHECK(contains(said({.edges = kind::pairs, .custom = {{0, 1}}}),
                 "with .edges = kind::custom only, found some"));
}
