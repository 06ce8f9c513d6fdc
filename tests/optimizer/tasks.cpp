// optimizer::take_tasks and gradient_norm: what is updated, and how much.
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/optimizer/tasks.hpp>

#include "catch.hpp"
#include "fixture.hpp"

using namespace support;
using modx::optimizer::gradient_norm;
using parameters = std::span<modx::parameter<cpu64>* const>;

TEST_CASE("take_tasks takes trainable parameters that have a gradient, once") {
  two_parameters f;
  std::vector<modx::update_task<double>> kept;
  CHECK(modx::optimizer::take_tasks(parameters(f.list), 2, kept).empty());
  f.backward(rows({{1, 2, 3}}), rows({{4}, {5}}));
  const auto tasks = modx::optimizer::take_tasks(parameters(f.list), 1, kept);
  REQUIRE(tasks.size() == 2);
  CHECK(tasks[0].size == 3);
  CHECK(tasks[0].w == f.p.value());
  CHECK(tasks[0].g[2] == 3);
  CHECK(tasks[0].step == 1);
  CHECK((tasks[0].m != nullptr && tasks[0].m[0] == 0 && tasks[0].v == nullptr));
  CHECK(f.p.gradient() == nullptr);
  CHECK(modx::optimizer::take_tasks(parameters(f.list), 1, kept).empty());
}

TEST_CASE("a parameter's rate scales its learning rate; at 0 it keeps its value, its moments and its age") {
  const auto check = [](const auto& optimizer, const auto& half) {
    two_parameters f, g, h;
    const auto step = [](two_parameters& x, const auto& o) {
      x.backward(rows({{1, 2, 3}}), rows({{4}, {5}}));
      x.step(o);
    };
    f.p.rate = 0.5, h.p.rate = 0;
    const auto start = h.p.host();
    step(f, optimizer), step(g, half), step(h, optimizer);
    CHECK(f.p.host() == g.p.host());
    CHECK(f.q.host() != g.q.host());
    CHECK(h.p.host() == start);
    CHECK(h.q.host() == f.q.host());
    CHECK(h.p.updates == 0);
    CHECK_FALSE(h.p.has_moment(0));
    CHECK(h.p.gradient() == nullptr);  // used up all the same
  };
  using namespace modx::optimizer;
  check(sgd{.lr = 0.5, .weight_decay = 0.1}, sgd{.lr = 0.25, .weight_decay = 0.1});
  check(sgd{.lr = 0.5, .momentum = 0.9}, sgd{.lr = 0.25, .momentum = 0.9});
  check(adamw{.lr = 0.5, .weight_decay = 0.1}, adamw{.lr = 0.25, .weight_decay = 0.1});
}

TEST_CASE("gradient_norm is the length of all gradients together") {
  two_parameters f;
  CHECK(gradient_norm(f.backend, parameters(f.list)) == 0);
  f.backward(rows({{1, 2, 0}}), rows({{-4}, {2}}));
  CHECK(near(gradient_norm(f.backend, parameters(f.list)), 5));
  CHECK(near(gradient_norm(f.backend, parameters(f.list), 0.5), 2.5));
  f.backward(rows({{1, 2, 0}}), rows({{-4}, {2}}));  // adds up
  CHECK(near(gradient_norm(f.backend, parameters(f.list)), 10));
  f.q.set_trainable(false);
  CHECK(near(gradient_norm(f.backend, parameters(f.list)), 2 * std::sqrt(5)));
}

TEST_CASE("what an optimiser writes is what the next forward pass reads") {
  two_parameters f;
  auto& w = f.b.make("w", 2, 2, modx::init::constant(1));
  f.list.push_back(&w);
  const auto product = [&] {  // through the packed form
    f.t.reset();
    return modx::ops::linear(f.t.input(rows({{1, 2}})), w, nullptr);
  };
  CHECK(product().host() == rows({{3, 3}}));
  f.t.backward(modx::ops::sum(product()));
  f.step(modx::optimizer::sgd{.lr = 1});
  CHECK(w.host() == rows({{0, 0}, {-1, -1}}));
  CHECK(product().host() == rows({{-2, -2}}));
}
