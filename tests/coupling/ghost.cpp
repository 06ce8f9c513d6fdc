// coupling::ghost: dormant ghosts change nothing, awake ones do; what states they keep; where they fit and
// where not.
#include <modx/combiner/projected_mean.hpp>
#include <modx/combiner/uniform.hpp>
#include <modx/coupling/ghost.hpp>
#include <modx/coupling/graph.hpp>
#include <modx/coupling/hypergraph.hpp>
#include <modx/laws/coupling.hpp>
#include <modx/laws/mixture.hpp>
#include <modx/recompose.hpp>
#include <modx/router/uniform.hpp>

#include "catch.hpp"
#include "coupling/alive.hpp"

using namespace coupled;
using modx::coupling::ghost, modx::coupling::graph, modx::coupling::hypergraph, modx::coupling::none;
static_assert(modx::CouplingGraph<ghost<graph>, cpu64> && modx::CouplingGraph<ghost<>, modx::cpu>);

namespace {

/// Two experts and as many ghosts.
template <class C, class R = modx::router::softmax, class K = modx::combiner::softmax>
auto haunted(const C& inner, R router = {}, K combiner = {}) {
  return modx::module::mixture{.experts = modx::expert::mlp{.hidden = 5, .act = modx::activation::tanh},
                               .router = router,
                               .combiner = combiner,
                               .coupling = ghost{.inner = inner, .ghosts = 2, .window = 3},
                               .n_experts = 2};
}
template <class M>
void set_levels(M& m, double a, double b) {
  m.find("coupling.ghosts.levels").set(rows({{a, b}, {0, 0}}));
}
bool of_ghost(const std::string& name, std::size_t i) {
  return name.starts_with("experts." + std::to_string(2 + i) + ".");
}

/// Levels 0: the ghosts' parameters have no influence and no gradient, bit for bit; from 0.5 on they have
/// both.
template <class S>
void comes_in_by_level(const S& spec) {
  cpu64 backend{3, 1};
  auto m = build(backend, spec, io);
  modx::laws::shake(m.parameters(), 1);
  const auto x = modx::laws::draw(5, "x", 16, 4), target = modx::laws::draw(5, "target", 16, 3);
  for (const double level : {0.0, 0.5, 1.0}) {
    set_levels(m, level, 0);
    const auto before = m.predict(x);
    for (std::size_t g = 0; g < 2; ++g) {
      const bool awake = g == 0 && level > 0;
      train_step(m, modx::optimizer::sgd{}, modx::loss::mse{}, x, target, {.update = false});
      for (auto* p : m.parameters()) {
        if (!of_ghost(p->name(), g)) continue;
        INFO(p->name() << " at level " << level);
        double gradient = 0;
        for (std::size_t i = 0; i < p->size(); ++i) gradient += std::fabs(p->gradient()[i]);
        CHECK((gradient > 0) == awake);
        const auto value = p->host();
        auto other = value;
        for (double& v : other.data) v += 1;
        p->set(other);
        CHECK((m.predict(x) == before) == !awake);
        p->set(value);
      }
      for (auto* p : m.parameters()) p->gradient_is_fresh = true;
    }
  }
}

/// Its output with dormant ghosts is that of the mixture without, with the same parameters.
template <class C>
void is_the_mixture_without(const C& inner) {
  cpu64 backend{3, 1};
  auto m = build(backend, haunted(inner), io);
  const modx::module::mixture plain_spec{
      .experts = modx::expert::mlp{.hidden = 5, .act = modx::activation::tanh},
      .router = modx::router::softmax{},
      .coupling = inner,
      .n_experts = 2};
  auto plain = build(backend, plain_spec, io);
  modx::laws::shake(m.parameters(), 1);
  for (auto* p : plain.parameters()) {
    const auto from = m.find(p->name()).host();
    matrix<double> part(p->rows(), p->cols());
    for (std::size_t i = 0; i < part.rows; ++i)
      for (std::size_t j = 0; j < part.cols; ++j)
        part(i, j) = from(i, j);  // the ghosts' rows and columns come last
    p->set(part);
  }
  const auto x = modx::laws::draw(5, "x", 16, 4);
  CHECK(near(m.predict(x), plain.predict(x), 1e-12));
  set_levels(m, 0.3, 0);
  CHECK_FALSE(near(m.predict(x), plain.predict(x), 1e-4));
}

}  // namespace

TEST_CASE("coupling::ghost obeys the laws of couplings and of mixtures") {
  cpu64 backend{1, 1};
  CHECK(modx::laws::of_coupling(backend, ghost{.inner = graph{}}, 4, 3).numbers > 30);
  CHECK(modx::laws::of_coupling(backend, ghost{.inner = hypergraph{}, .ghosts = 1}, 4, 3).numbers > 30);
  CHECK(modx::laws::of_coupling(backend, ghost<>{}, 3, 2).numbers > 10);
  CHECK(modx::laws::of_module(backend, haunted(graph{}), io).numbers > 30);
}

TEST_CASE("coupling::ghost: no token sees another at any level") {
  part<ghost<graph>> c(ghost{.inner = graph{}}, 4, 3);
  for (const double level : {0.0, 0.4, 1.0}) {
    c.find("ghosts.levels").set(rows({{level, level / 2}, {0, 0}}));
    auto y = modx::laws::draw(3, "y", 5, 12);
    const auto before = c(y);
    for (double& v : y.row(2)) v += 1;
    const auto after = c(y);
    for (std::size_t t = 0; t < 5; ++t)
      for (std::size_t k = 0; k < 12; ++k) CHECK((before(t, k) == after(t, k)) == (t != 2));
  }
}

TEST_CASE("coupling::ghost: at level 0 a ghost has no influence and no gradient, above it has both") {
  using modx::router::softmax, modx::router::uniform;
  comes_in_by_level(haunted(none{}));
  comes_in_by_level(haunted(graph{}));
  comes_in_by_level(haunted(hypergraph{}));
  comes_in_by_level(haunted(hypergraph{.edges = hypergraph::kind::all}));
  comes_in_by_level(haunted(graph{}, uniform{}, modx::combiner::uniform{}));
  comes_in_by_level(
      haunted(none{}, uniform{}, modx::combiner::uniform{.of = modx::combiner::uniform::average::softmaxes}));
  comes_in_by_level(haunted(graph{}, uniform{}, modx::combiner::projected_mean{}));
}

TEST_CASE("coupling::ghost: with dormant ghosts it is the mixture without them") {
  is_the_mixture_without(none{});
  is_the_mixture_without(graph{});
  is_the_mixture_without(hypergraph{.learn_weights = false});
  is_the_mixture_without(hypergraph{.edges = hypergraph::kind::all});
}

TEST_CASE("coupling::ghost: its states are no parameters, and training and evaluation leave levels alone") {
  cpu64 backend{3, 1};
  auto m = build(backend, haunted(none{}), io);
  std::vector<std::string> names;
  for (auto* p : m.states()) names.push_back(p->name());
  CHECK(names == std::vector<std::string>{"coupling.ghosts.levels", "coupling.ghosts.history",
                                          "coupling.ghosts.gram"});
  CHECK(m.parameter_count() == 4 * (4 * 5 + 5 + 5 * 3 + 3) + 4 * 4 + 4);
  for (auto* p : m.states()) {
    p->set_trainable(true);
    CHECK_FALSE(p->trainable());
  }
  set_levels(m, 0.25, 0);
  const auto x = modx::laws::draw(5, "x", 16, 4), target = modx::laws::draw(5, "target", 16, 3);
  const auto levels = m.find("coupling.ghosts.levels").host(), gram = m.find("coupling.ghosts.gram").host();
  m.predict(x);
  CHECK(m.find("coupling.ghosts.gram").host() == gram);  // measured in training only
  train_step(m, modx::optimizer::sgd{.lr = 0.1}, modx::loss::mse{}, x, target);
  CHECK(m.find("coupling.ghosts.gram").host() != gram);
  CHECK(m.find("coupling.ghosts.levels").host() == levels);
  auto copy = build(backend, haunted(none{}), io);
  copy_parameters(m, copy);
  CHECK(copy.predict(x) == m.predict(x));
}

TEST_CASE("coupling::ghost measures how alike the experts are, or what they add") {
  const auto gram = [](bool residual) {
    cpu64 backend{3, 1};
    auto s = haunted(none{});
    s.coupling.residual_experts = residual;
    auto m = build(backend, s, {.in = 3, .out = 3});
    const auto x = modx::laws::draw(5, "x", 6, 3);
    train_step(m, modx::optimizer::sgd{.lr = 0.0}, modx::loss::mse{}, x, x);
    matrix<double> expected(4, 4);
    std::vector<matrix<double>> y;
    modx::tape<cpu64> t(backend);
    for (std::size_t i = 0; i < 4; ++i) y.push_back(m.bound().expert(i, t.input(x)).host());
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 4; ++j)
        for (std::size_t k = 0; k < x.data.size(); ++k) {
          const double base = residual ? x.data[k] : 0;
          expected(i, j) += (y[i].data[k] - base) * (y[j].data[k] - base) / 6;
        }
    CHECK(near(m.find("coupling.ghosts.gram").host(), expected, 1e-12));
  };
  gram(false), gram(true);
  cpu64 backend{3, 1};
  auto s = haunted(none{});
  s.coupling.residual_experts = true;
  auto m = build(backend, s, io);
  const auto x = modx::laws::draw(5, "x", 6, 4), target = modx::laws::draw(5, "y", 6, 3);
  CHECK(contains(message([&] { train_step(m, modx::optimizer::sgd{}, modx::loss::mse{}, x, target); }),
                 "coupling::ghost, .residual_experts: expected 3 columns of the input, found 4"));
}

TEST_CASE("coupling::ghost says what is wrong") {
  cpu64 backend{1, 1};
  const auto said = [](const auto& s, std::size_t e) { return message([&] { part<ghost<>>(s, e, 2); }); };
  CHECK(contains(said(ghost<>{.ghosts = 0}, 2), "coupling::ghost: expected ghosts > 0, found 0"));
  CHECK(contains(said(ghost<>{.ghosts = 2}, 2),
                 "coupling::ghost: expected more than 2 experts, ghosts among them, found 2"));
  CHECK(contains(said(ghost<>{.window = 0}, 4), "coupling::ghost: expected window > 0, found 0"));
  auto m = build(backend, haunted(none{}), io);
  const auto x = modx::laws::draw(5, "x", 4, 4);
  set_levels(m, 1.5, 0);
  CHECK(contains(message([&] { m.predict(x); }),
                 "coupling.ghosts.levels: expected levels from 0 to 1, found 1.5"));
  set_levels(m, 1, 0);
  CHECK(contains(message([&] { remove_expert(m, 0); }),
                 "remove_expert: expected a mixture without ghosts, found one with"));
  const modx::routing_perturbation noise{.sigma = 1};
  modx::tape<cpu64> t(backend);
  t.context.perturbation = &noise;
  CHECK(contains(message([&] { m.forward(t.input(x)); }),
                 "mixture under routing noise: expected a mixture without ghosts"));
}
