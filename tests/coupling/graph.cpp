// coupling::graph: the laws, its formula computed plainly, one expert, parameter counts, and every part
// alive.
#include <modx/coupling/graph.hpp>
#include <modx/laws/coupling.hpp>

#include "catch.hpp"
#include "coupling/alive.hpp"

using namespace coupled;
using modx::coupling::graph;
static_assert(modx::CouplingGraph<graph, cpu64> && modx::CouplingGraph<graph, modx::cpu>);
static_assert(!modx::Couples<graph, cpu64, modx::slot_outputs<cpu64>>,
              "every expert is heard: top-k mixtures can't");

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu(double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }

/// The formula, token by token and pair by pair.
matrix<double> plainly(const part<graph>& c, const matrix<double>& y, std::size_t layers, std::size_t e,
                       std::size_t m) {
  auto h = y;
  for (std::size_t l = 0; l < layers; ++l) {
    const auto at = [&](const char* name) { return c.value(std::to_string(l) + "." + name); };
    const auto a = at("adjacency"), w = at("gate.weight"), b = at("gate.bias"), wn = at("neighbours.weight"),
               bn = at("neighbours.bias"), ws = at("self.weight"), bs = at("self.bias");
    auto next = h;
    for (std::size_t t = 0; t < y.rows; ++t)
      for (std::size_t i = 0; i < e; ++i) {
        std::vector<double> message(m, 0.0);
        for (std::size_t j = 0; j < e; ++j) {
          if (i == j) continue;
          double z = b(0, 0);
          for (std::size_t k = 0; k < m; ++k) z += w(k, 0) * h(t, i * m + k) + w(k, 1) * h(t, j * m + k);
          for (std::size_t k = 0; k < m; ++k) message[k] += sigmoid(a(i, j)) * sigmoid(z) * h(t, j * m + k);
        }
        for (std::size_t k = 0; k < m; ++k) {
          double z = bn(0, k) + bs(0, k);
          for (std::size_t q = 0; q < m; ++q) z += message[q] * wn(q, k) + h(t, i * m + q) * ws(q, k);
          next(t, i * m + k) = h(t, i * m + k) + gelu(z);
        }
      }
    h = next;
  }
  return h;
}

}  // namespace

TEST_CASE("coupling::graph obeys the laws of couplings") {
  cpu64 backend{1, 1};
  for (const std::size_t e : {1, 2, 5})
    for (const std::size_t layers : {1, 2})
      CHECK(modx::laws::of_coupling(backend, graph{.layers = layers}, e, 3, {.seed = e}).numbers > 30);
}

TEST_CASE("coupling::graph computes its formula, for each token") {
  for (const std::size_t layers : {1, 3}) {
    part<graph> c(graph{.layers = layers}, 4, 3);
    const auto y = modx::laws::draw(3, "y", 6, 12);
    CHECK(near(c(y), plainly(c, y, layers, 4, 3), 1e-12));
  }
}

TEST_CASE("coupling::graph has 2 (m^2 + m) + (2m + 1) + e^2 parameters a layer") {
  for (const std::size_t layers : {1, 2}) {
    CHECK(part<graph>(graph{.layers = layers}, 4, 8).count() == layers * (2 * (64 + 8) + 17 + 16));
    CHECK(part<graph>(graph{.layers = layers}, 1, 8).count() == layers * (64 + 8));  // nobody to hear
  }
}

TEST_CASE("coupling::graph: presence 0 silences an expert, presence 1 changes nothing") {
  part<graph> c(graph{}, 3, 4);
  auto y = modx::laws::draw(3, "y", 5, 12), louder = y;
  for (std::size_t t = 0; t < 5; ++t)
    for (std::size_t k = 8; k < 12; ++k) louder(t, k) += 1;
  const auto first_two = [](matrix<double> z) {
    for (std::size_t t = 0; t < z.rows; ++t)
      for (std::size_t k = 8; k < 12; ++k) z(t, k) = 0;
    return z;
  };
  CHECK(c(y, rows({{1, 1, 1}})) == c(y));
  CHECK(first_two(c(y, rows({{1, 1, 0}}))) == first_two(c(louder, rows({{1, 1, 0}}))));
  CHECK_FALSE(near(first_two(c(y, rows({{1, 1, 0.5}}))), first_two(c(louder, rows({{1, 1, 0.5}}))), 1e-6));
  CHECK_FALSE(near(first_two(c(y, rows({{1, 1, 0.5}}))), first_two(c(y)), 1e-6));
}

TEST_CASE("coupling::graph says what is wrong") {
  CHECK(contains(message([] { part<graph>(graph{.layers = 0}, 3, 4); }),
                 "coupling::graph: expected layers > 0, found 0"));
  part<graph> c(graph{}, 3, 4);
  CHECK(contains(message([&] { c(matrix<double>(2, 9)); }),
                 "coupling::graph: expected 4 columns of an output, found 3"));
}

TEST_CASE("coupling::graph: every parameter is alive in a mixture, and so is the coupling") {
  all_alive(mixture_with(graph{}), [](const std::string& name, std::size_t i) {
    return support::contains(name, "adjacency") && i % 5 == 0;  // the diagonal
  });
  cpu64 backend{1, 1};
  const auto x = modx::laws::draw(5, "x", 8, 4);
  auto with = build(backend, mixture_with(graph{}), io);
  auto without = build(backend, mixture_with(modx::coupling::none{}), io);
  copy_parameters(without, with);
  CHECK_FALSE(near(with.predict(x), without.predict(x), 1e-3));
}
