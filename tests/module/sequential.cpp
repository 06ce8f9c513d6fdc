// module::sequential: laws, composition, widths between the parts, errors.
#include <modx/laws/module.hpp>
#include <modx/module/conv2d.hpp>
#include <modx/module/flatten.hpp>
#include <modx/module/identity.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/max_pool.hpp>
#include <modx/module/sequential.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx::module;
using two = sequential<linear, linear>;
static_assert(modx::Module<two, cpu64> && modx::Module<sequential<two, two>, modx::cpu>);
static_assert(modx::Module<sequential<>, cpu64>);

TEST_CASE("module::sequential obeys the laws of a module") {
  cpu64 backend{1, 1};
  const auto mlp = sequential(linear{.out = 5, .act = modx::activation::tanh}, linear{.out = 2});
  CHECK(modx::laws::of_module(backend, mlp, {.in = 3, .out = 2}).numbers > 40);
  CHECK(modx::laws::of_module(backend, sequential(mlp, linear{.out = 2}), {.in = 3, .out = 2}).numbers > 0);
  const auto cnn = sequential(conv2d{.channels = 2, .padding = 1, .relu = true}, max_pool{}, flatten{}, linear{});
  CHECK(modx::laws::of_module(backend, cnn, {.in = {4, 4, 1}, .out = 3}, {.tokens = 2}).numbers > 0);
  CHECK(modx::laws::of_module(backend, sequential<>{}, {.in = 3, .out = 3}).numbers > 0);
}

TEST_CASE("module::sequential runs its parts in order") {
  cpu64 backend{1, 1};
  auto m = modx::build(backend, two{linear{.out = 2}, linear{}}, {.in = 1, .out = 1});
  CHECK(m.parameters()[0]->name() == "0.weight");
  CHECK(m.parameters()[3]->name() == "1.bias");
  m.find("0.weight").set(rows({{2, 3}}));
  m.find("0.bias").set(rows({{1, 0}}));
  m.find("1.weight").set(rows({{1}, {10}}));
  m.find("1.bias").set(rows({{-1}}));
  CHECK(m.predict(rows({{1}, {2}})) == rows({{32}, {64}}));  // (3, 3) -> 32;  (5, 6) -> 64
  modx::tape<cpu64> t(backend);
  const auto x = t.input(rows({{1}, {2}}));
  const auto h = m.bound().forward_between<0, 1>(x);
  CHECK(h.host() == rows({{3, 3}, {5, 6}}));
  CHECK(m.bound().forward_between<1, 2>(h).host() == rows({{32}, {64}}));
  CHECK(m.bound().part<0>().forward(x).host() == h.host());
}

TEST_CASE("module::sequential knows its output") {
  CHECK(two{linear{.out = 2}, linear{.out = 7}}.output(3) == modx::extent(7));
  CHECK(sequential(conv2d{.channels = 4}, max_pool{}).output({10, 8, 1}) == modx::extent(4, 3, 4));
  CHECK(two{linear{.out = 2}, linear{.out = 7}} != two{linear{.out = 2}, linear{.out = 8}});
}

TEST_CASE("module::sequential says what is wrong") {
  cpu64 backend{1, 1};
  const auto no_width = message([&] { modx::build(backend, two{}, {.in = 3, .out = 2}); });
  CHECK(contains(no_width, "sequential, part 0: expected an output width of its own (linear{.out = ...}), found 0"));
  const auto wrong = message([&] {
    modx::build(backend, two{linear{.out = 4}, linear{.out = 5}}, {.in = 3, .out = 2});
  });
  CHECK(contains(wrong, "sequential, last part: expected 2 columns out, found 5"));
  const auto last = message([&] { modx::build(backend, two{linear{.out = 4}, linear{}}, {.in = 3, .out = 0}); });
  CHECK(contains(last, "sequential, part 1: expected an output width of its own"));
  CHECK(contains(message([&] { modx::build(backend, sequential<>{}, {.in = 3, .out = 2}); }),
                 "sequential without parts: expected 3 columns out, found 2"));
}
