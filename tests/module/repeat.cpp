// module::repeat: laws, each part its own parameters, a prefix and the rest.
#include <modx/combiner/softmax.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/laws/module.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/mlp.hpp>
#include <modx/module/repeat.hpp>
#include <modx/router/softmax.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::mlp;
using modx::module::repeat;
static_assert(modx::Module<repeat<mlp>, cpu64> && modx::Module<repeat<mlp>, modx::cpu>);

TEST_CASE("module::repeat obeys the laws of a module") {
  cpu64 backend{1, 2};
  for (const std::size_t count : {0, 1, 3})
    modx::laws::of_module(backend,
                          repeat<mlp>{.inner = {.hidden = 5, .act = modx::activation::tanh}, .count = count},
                          {.in = 4, .out = 4});
}

TEST_CASE("module::repeat: parts have parameters of their own and run in order, all or some") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, repeat<mlp>{.inner = {.hidden = 5}, .count = 3}, {.in = 4, .out = 4});
  CHECK(m.parameter_count() == 3 * (4 * 5 + 5 + 5 * 4 + 4));
  CHECK(!(m.find("0.up.weight").host() == m.find("1.up.weight").host()));
  auto& t = m.tape_of_step();
  t.reset();
  const auto x = t.input(modx::laws::draw(3, "x", 6, 4));
  const auto whole = m.forward(x).host();
  CHECK(m.bound().forward_between(m.bound().forward_between(x, 0, 1), 1, 3).host() == whole);
  CHECK(m.bound().part(2).forward(m.bound().part(1).forward(m.bound().part(0).forward(x))).host() == whole);
  CHECK(!(m.bound().forward_between(x, 0, 2).host() == whole));
  t.reset();
  CHECK(contains(message([&] { modx::build(backend, repeat<mlp>{}, {.in = 4, .out = 8}); }),
                 "repeat: expected 4 columns out"));
}

TEST_CASE("module::repeat: a pass that records nothing needs the memory of one part, and has the same bits") {
  cpu64 backend{1, 1};
  const auto m = modx::build(backend, repeat<mlp>{.inner = {.hidden = 500}, .count = 8}, {.in = 4, .out = 4});
  const auto values = modx::laws::draw(3, "x", 50, 4);
  modx::tape<cpu64> recorded(backend), quiet(backend);
  const auto y = m.bound().forward(recorded.input(values));
  const modx::unrecorded nothing(quiet);
  const auto x = quiet.input(values);
  for (int i = 0; i < 3; ++i) CHECK(m.bound().forward(x).host() == y.host());
  CHECK(quiet.peak_bytes() < recorded.peak_bytes() / 4);
  CHECK(x.host() == values);
}

TEST_CASE("module::repeat: what a routing was is still there after a pass that records nothing") {
  cpu64 backend{1, 1};
  const modx::module::mixture mixed{.experts = modx::expert::mlp{.hidden = 5}, .router = modx::router::softmax{},
                                    .combiner = modx::combiner::softmax{}, .n_experts = 3};
  const auto m = modx::build(backend, repeat{mixed, 4}, {.in = 4, .out = 4});
  const auto values = modx::laws::draw(3, "x", 50, 4);
  modx::tape<cpu64> recorded(backend), quiet(backend);
  const modx::unrecorded nothing(quiet);
  CHECK(m.bound().forward(recorded.input(values)).host() == m.bound().forward(quiet.input(values)).host());
  const auto *a = modx::routings(recorded), *b = modx::routings(quiet);
  for (int i = 0; i < 4; ++i, a = a->next, b = b->next) CHECK(a->all.host() == b->all.host());
  CHECK((a == nullptr && b == nullptr));
}
