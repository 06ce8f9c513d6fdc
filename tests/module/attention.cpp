// module::attention: laws, each setting changes what comes out, errors.
#include <modx/laws/module.hpp>
#include <modx/module/attention.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using modx::module::attention;
static_assert(modx::Module<attention, cpu64> && modx::Module<attention, modx::cpu>);

namespace {
constexpr modx::laws::options on_sequences{.tokens = 7, .sequences = true};
}  // namespace

TEST_CASE("module::attention obeys the laws of a module") {
  cpu64 backend{1, 2};
  for (const bool causal : {true, false})
    for (const std::size_t kv : {1, 2})
      modx::laws::of_module(backend, attention{.heads = 2, .kv_heads = kv, .causal = causal},
                            {.in = 6, .out = 4}, on_sequences);
  modx::laws::of_module(backend, attention{.heads = 2, .head_dim = 4, .rotary_base = 50, .normalised = true},
                        {.in = 6, .out = 6}, on_sequences);
}

TEST_CASE("module::attention: every setting changes the output, from the same weights") {
  cpu64 backend{1, 1};
  const attention with{.heads = 2, .rotary_base = 50, .normalised = true};
  const std::vector<std::size_t> lengths{3, 4};
  const auto x = modx::laws::draw(3, "x", 7, 8);
  auto m = modx::build(backend, with, {.in = 8, .out = 8});
  modx::laws::shake<cpu64>(m.parameters(), 3);
  const auto y = m.predict(x, lengths);
  const auto without = [&](auto change) {
    auto spec = with;
    change(spec);
    auto other = modx::build(backend, spec, {.in = 8, .out = 8});
    for (auto* p : other.parameters()) p->set(m.find(p->name()).host());
    return !near(other.predict(x, lengths), y);
  };
  CHECK(!without([](attention&) {}));
  CHECK(without([](attention& s) { s.causal = false; }));
  CHECK(without([](attention& s) { s.bias = false; }));
  CHECK(without([](attention& s) { s.rotary_base = 5000; }));
  CHECK(without([](attention& s) { s.normalised = false; }));
  CHECK(without([](attention& s) { s.normalised = false, s.rotary_base = 0; }));
  CHECK(without([](attention& s) { s.eps = 1; }));
  CHECK(without([](attention& s) { s.heads = s.kv_heads = 4, s.head_dim = 2, s.normalised = false; }));
  CHECK(!near(m.predict(x, std::vector<std::size_t>{7}), y));  // and where sequences end
}

TEST_CASE("module::attention says what is wrong") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { modx::build(backend, attention{.heads = 3}, {.in = 4, .out = 4}); }),
                 "attention: expected heads that divide 4 columns, found 3"));
  CHECK(contains(
      message([&] { modx::build(backend, attention{.heads = 2, .normalised = true}, {.in = 4, .out = 4}); }),
      "rotary_base > 0"));
}
