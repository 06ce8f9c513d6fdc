// build(), model and copy_parameters: names, starts, freezing by pattern, predictions, errors.
#include <modx/expert/mlp.hpp>
#include <modx/model.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/sequential.hpp>
#include <modx/router/softmax.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;

namespace {
const auto spec = module::mixture{.experts = expert::mlp{.hidden = 3}, .router = router::softmax{}, .n_experts = 2};
constexpr shape io{.in = 4, .out = 2};
/// A policy whose two parameters have one name.
struct twins {
  bool operator==(const twins&) const = default;
  template <Backend B>
  class bound {
   public:
    bound(builder<B>& b, const twins&, shape) {
      b.make("w", 1, 1, init::zeros());
      b.make("w", 1, 1, init::zeros());
    }
    var<B> forward(var<B> x) const { return x; }
  };
};
}  // namespace

TEST_CASE("parameters are called by their path") {
  cpu64 backend{1, 1};
  const auto m = build(backend, spec, io);
  std::vector<std::string> names;
  for (auto* p : m.parameters()) names.push_back(p->name());
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"experts.0.down.bias", "experts.0.down.weight", "experts.0.up.bias",
                                          "experts.0.up.weight", "experts.1.down.bias", "experts.1.down.weight",
                                          "experts.1.up.bias", "experts.1.up.weight", "router.bias",
                                          "router.weight"});
  CHECK(m.parameter_count() == 2 * (4 * 3 + 3 + 3 * 2 + 2) + 4 * 2 + 2);
  CHECK(&m.find("router.bias") == m.parameters()[9]);
  CHECK(m.spec() == spec);
  CHECK(m.io() == io);
}

TEST_CASE("a start depends on the seed and the names, not on what else is built") {
  cpu64 backend{1, 1};
  const auto a = build(backend, spec, io, 5), b = build(backend, spec, io, 5), c = build(backend, spec, io, 6);
  auto larger = spec;
  larger.n_experts = 4;
  const auto d = build(backend, larger, io, 5);
  for (auto* p : a.parameters()) {
    CHECK(p->host() == b.find(p->name()).host());
    CHECK(p->host() != c.find(p->name()).host());
    if (p->name().starts_with("experts.")) CHECK(p->host() == d.find(p->name()).host());
  }
  CHECK(build(backend, spec, io).find("router.weight").host() ==
        build(backend, spec, io, backend.seed()).find("router.weight").host());
}

TEST_CASE("models move, and their parameters keep their addresses") {
  cpu64 backend{1, 1};
  auto m = build(backend, spec, io);
  const auto x = backend.normal(3, 4);
  const auto y = m.predict(x);
  auto* first = m.parameters()[0];
  auto moved = std::move(m);
  CHECK(moved.parameters()[0] == first);
  CHECK(moved.predict(x) == y);
}

TEST_CASE("predictions do not depend on the batch, nor on a step in between") {
  cpu64 backend{1, 1};
  auto m = build(backend, spec, io);
  const auto x = backend.normal(7, 4);
  const auto y = m.predict(x);
  for (std::size_t i = 0; i < 7; ++i) {
    matrix<double> one(1, 4);
    std::copy_n(x.row(i).begin(), 4, one.data.begin());
    const auto own = m.predict(one);
    CHECK(near(own(0, 0), y(i, 0)));
    CHECK(near(own(0, 1), y(i, 1)));
  }
  CHECK(m.predict(matrix<double>(0, 4)) == matrix<double>(0, 2));
  CHECK(m.predict(x) == y);
}

TEST_CASE("train_only freezes everything that no pattern names") {
  cpu64 backend{1, 1};
  auto m = build(backend, spec, io);
  const auto trained = [&] {
    std::string out;
    for (auto* p : m.parameters())
      if (p->trainable()) out += p->name() + " ";
    return out;
  };
  m.train_only({"router.*"});
  CHECK(trained() == "router.weight router.bias ");
  m.train_only({"*.bias", "experts.1.up.weight"});
  CHECK(
      trained() ==
      "experts.0.up.bias experts.1.up.weight experts.1.up.bias experts.0.down.bias experts.1.down.bias router.bias ");
  m.train_only({"*"});
  CHECK(trained().size() > 100);
  const auto before = trained();
  CHECK(contains(message([&] {
                   m.train_only({"router.*", "rooter.*"});
                 }),
                 "train_only: no parameter matches 'rooter.*'"));
  CHECK(trained() == before);
}

TEST_CASE("copy_parameters copies what the pattern names, across backends' numbers only within a type") {
  cpu64 backend{1, 1};
  auto a = build(backend, spec, io, 1), b = build(backend, spec, io, 2);
  copy_parameters(a, b, "router.*");
  CHECK(a.find("router.weight").host() == b.find("router.weight").host());
  CHECK(a.find("experts.0.up.weight").host() != b.find("experts.0.up.weight").host());
  copy_parameters(a, b);
  for (auto* p : a.parameters()) CHECK(p->host() == b.find(p->name()).host());
  auto other = build(backend, module::linear{}, io);
  CHECK(contains(message([&] { copy_parameters(a, other); }), "model: no parameter called '"));
  auto wide = build(backend, spec, {.in = 5, .out = 2});
  CHECK(contains(message([&] { copy_parameters(a, wide, "router.weight"); }),
                 "parameter 'router.weight': expected 5 x 2, found 4 x 2"));
}

TEST_CASE("build refuses what cannot be built") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { build(backend, twins{}, io); }), "build: expected one parameter called 'w', found two"));
  CHECK(contains(message([&] { build(backend, module::linear{}, {.in = 0, .out = 3}); }),
                 "build: expected columns in > 0, found 0"));
  CHECK(contains(
      message([&] { build(backend, module::linear{}, {.in = std::size_t(1) << 40, .out = std::size_t(1) << 20}); }),
      "a size below 2^48 elements"));
}
