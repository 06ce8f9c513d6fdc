// Recomposition: experts removed, added, taken and put, bit for bit; what is wrong changes nothing.
#include <cstring>
#include <limits>
#include <modx/combiner/residual.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/recompose.hpp>
#include <modx/router/mlp_softmax.hpp>
#include <modx/router/softmax.hpp>
#include <modx/router/top_k.hpp>
#include <modx/router/uniform.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace modx;
using support::contains;
using support::message;

namespace {

constexpr shape io{.in = 6, .out = 4};

/// RED with experts of any kind behind any router.
template <class E, class R>
auto red(E expert, R router, std::size_t n) {
  return module::mixture{.base = module::linear{}, .experts = expert, .router = router,
                         .combiner = combiner::residual{.scale = 0.5}, .n_experts = n};
}
template <class M, class T>
bool same_outputs(M& a, M& b, const matrix<T>& x) {
  const auto y = a.predict(x), z = b.predict(x);
  return y.data.size() == z.data.size() && std::memcmp(y.data.data(), z.data.data(), y.data.size() * sizeof(T)) == 0;
}
template <class M>
bool same_parameters(const M& a, const M& b) {
  for (auto* p : a.parameters())
    if (p->host() != b.find(p->name()).host()) return false;
  return a.parameters().size() == b.parameters().size();
}
/// Values of all parameters, to see that nothing has changed.
template <class M>
auto snapshot(const M& m) {
  std::vector<matrix<typename M::scalar>> all;
  for (auto* p : m.parameters()) all.push_back(p->host());
  return all;
}

}  // namespace

TEMPLATE_TEST_CASE("an expert added behind the others changes no bit, however many there are", "", float, double) {
  basic_cpu<TestType> backend(3, 1);
  const auto x = backend.normal(19, 6);
  for (const std::size_t e : {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33}) {
    auto model = build(backend, red(expert::linear{}, router::softmax{}, e), io);
    for (std::size_t at = 0; at <= e; ++at) {
      CAPTURE(e, at);
      auto larger = add_expert(model, at);
      CHECK(larger.bound().experts() == e + 1);
      if (at == e) CHECK(same_outputs(model, larger, x));
      const auto y = model.predict(x), z = larger.predict(x);  // elsewhere the softmax's sum is rounded otherwise
      for (std::size_t i = 0; i < y.data.size(); ++i)
        CHECK(std::abs(y.data[i] - z.data[i]) <= 8 * std::numeric_limits<TestType>::epsilon() * (1 + std::abs(y.data[i])));
      for (const char* part : {"weight", "bias"})
        for (const auto v : larger.find("experts." + std::to_string(at) + "." + part).host().data) CHECK(v == 0);
      auto again = remove_expert(larger, at);
      CHECK(same_parameters(model, again));
    }
  }
}

TEST_CASE("experts of every kind are added behind every router that has a bias, without a change") {
  cpu backend(4, 1);
  const auto x = backend.normal(33, 6);
  const auto check = [&](auto spec) {
    auto model = build(backend, spec, io);
    auto larger = add_expert(model, 4);
    CHECK(same_outputs(model, larger, x));
    auto back = remove_expert(larger, 4);
    CHECK(same_parameters(model, back));
  };
  check(red(expert::mlp{.hidden = 5}, router::softmax{}, 4));
  check(red(expert::low_rank{.rank = 2}, router::mlp_softmax{.hidden = 7}, 4));
  check(module::mixture{.experts = expert::linear{.bias = false}, .router = router::softmax{.temperature = 3}, .n_experts = 4});
  check(module::mixture{.experts = expert::mlp{.hidden = 5}, .router = router::top_k{.k = 2}, .n_experts = 4});
  check(module::mixture{.experts = module::mlp{.hidden = 5}, .router = router::softmax{}, .n_experts = 4});  // a lifted module
}

TEMPLATE_TEST_CASE("behind an open gate every parameter of a new expert learns", "", expert::linear, expert::low_rank,
                   expert::mlp, module::mlp) {
  cpu backend(5, 1);
  auto larger = add_expert(build(backend, red(TestType{}, router::softmax{}, 3), io), 3);
  const auto x = backend.normal(64, 6);
  const auto target = backend.normal(64, 4);
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < 64; ++i) labels.push_back(std::int32_t(i % 4));
  const auto moved = [&] {
    const auto before = snapshot(larger);
    for (int step = 0; step < 3; ++step)
      train_step(larger, optimizer::adamw{.lr = 0.01, .weight_decay = 0}, loss::cross_entropy{}, x, labels);
    std::string names;
    for (std::size_t i = 0; i < before.size(); ++i) {
      auto* p = larger.parameters()[i];
      const auto now = p->host();
      if (p->name().starts_with("experts.3.") && now != before[i]) names += p->name() + " ";
      if (!p->name().starts_with("router.")) continue;
      for (std::size_t r = 0; r < now.rows; ++r)
        if (now(r, 3) != before[i](r, 3)) names += p->name() + "[" + std::to_string(r) + "] ";
    }
    return names;
  };
  CHECK(moved().empty());  // closed: neither expert nor gate
  open_gate(larger, 3);
  CHECK(larger.find("router.bias").host()(0, 3) == 0);
  const auto names = moved();
  for (auto* p : larger.parameters())
    if (p->name().starts_with("experts.3.")) CHECK(contains(names, p->name()));
  for (int r = 0; r < 6; ++r) CHECK(contains(names, "router.weight[" + std::to_string(r) + "]"));
  CHECK(contains(names, "router.bias[0]"));
}

TEST_CASE("an expert taken out, and put back where it was, gives the same bits") {
  cpu backend(6, 1);
  const auto x = backend.normal(19, 6);
  for (const std::size_t e : {2, 5, 16, 17}) {
    auto model = build(backend, red(expert::mlp{.hidden = 3}, router::softmax{}, e), io);
    for (std::size_t i = 0; i < e; ++i) {
      const auto expert = take_expert(model, i);
      CHECK(expert.size() == 6);
      auto without = remove_expert(model, i);
      CHECK_FALSE(same_outputs(model, without, x));
      auto again = add_expert(without, i);
      put_expert(again, i, expert);
      CHECK(same_parameters(model, again));
      CHECK(same_outputs(model, again, x));
    }
  }
}

TEST_CASE("removing an expert renormalises the other gates and moves the later ones up") {
  support::cpu64 backend(7, 1);
  auto model = build(backend, red(expert::linear{}, router::softmax{}, 4), io);
  const auto without = remove_expert(model, 1);
  for (const auto& [now, was] : {std::pair{0, 0}, {1, 2}, {2, 3}}) {
    CHECK(without.find("experts." + std::to_string(now) + ".weight").host() ==
          model.find("experts." + std::to_string(was) + ".weight").host());
    for (std::size_t r = 0; r < 6; ++r)
      CHECK(without.find("router.weight").host()(r, std::size_t(now)) == model.find("router.weight").host()(r, std::size_t(was)));
  }
  CHECK(without.find("base.weight").host() == model.find("base.weight").host());
}

TEST_CASE("an expert is replaced without its gate, also from values that have none") {
  cpu backend(8, 1);
  auto model = build(backend, red(expert::linear{}, router::softmax{}, 3), io, 1);
  const auto other = build(backend, red(expert::linear{}, router::softmax{}, 3), io, 2);
  const auto gate = model.find("router.weight").host();
  auto values = take_expert(other, 2);
  put_expert(model, 1, values, false);
  CHECK(model.find("experts.1.weight").host() == other.find("experts.2.weight").host());
  CHECK(model.find("router.weight").host() == gate);
  std::erase_if(values, [](const auto& v) { return v.first.starts_with("gate."); });
  put_expert(model, 0, values, false);
  CHECK(model.find("experts.0.bias").host() == other.find("experts.2.bias").host());
  CHECK(contains(message([&] { put_expert(model, 0, values); }), "put_expert: expected a tensor 'gate.weight', found none"));
}

TEST_CASE("values that don't fit are refused and nothing changes") {
  cpu backend(9, 1);
  auto model = build(backend, red(expert::mlp{.hidden = 3}, router::softmax{}, 3), io, 1);
  const auto good = take_expert(build(backend, red(expert::mlp{.hidden = 3}, router::softmax{}, 3), io, 2), 0);
  const auto before = snapshot(model);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto missing = good;
    missing.erase(missing.begin() + std::ptrdiff_t(i));
    CHECK(contains(message([&] { put_expert(model, 1, missing); }), "expected a tensor '" + good[i].first + "', found none"));
    auto wrong = good;
    wrong[i].second = matrix<float>(good[i].second.rows + 1, good[i].second.cols);
    CHECK(contains(message([&] { put_expert(model, 1, wrong); }), "put_expert, '" + good[i].first + "': expected"));
    auto twice = good;
    twice.push_back(good[i]);
    CHECK(contains(message([&] { put_expert(model, 1, twice); }), "expected one tensor '" + good[i].first + "', found two"));
  }
  auto more = good;
  more.emplace_back("gain", matrix<float>(1, 1));
  CHECK(contains(message([&] { put_expert(model, 1, more); }), "also 'gain'"));
  CHECK(contains(message([&] { put_expert(model, 3, good); }), "expected an expert below 3, found 3"));
  CHECK(snapshot(model) == before);
  put_expert(model, 1, good);
  CHECK(snapshot(model) != before);
}

TEST_CASE("experts that aren't there are named") {
  cpu backend(1, 1);
  auto one = build(backend, red(expert::linear{}, router::softmax{}, 1), io);
  CHECK(contains(message([&] { remove_expert(one, 0); }), "remove_expert: expected at least two experts, found one"));
  CHECK(contains(message([&] { remove_expert(one, 1); }), "remove_expert: expected an expert below 1, found 1"));
  CHECK(contains(message([&] { add_expert(one, 2); }), "add_expert: expected a position up to 1, found 2"));
  CHECK(contains(message([&] { take_expert(one, 1); }), "take_expert: expected an expert below 1, found 1"));
  CHECK(contains(message([&] { open_gate(one, 1); }), "open_gate: expected an expert below 1, found 1"));
}

TEST_CASE("experts behind a router without gates are removed and replaced too") {
  cpu backend(2, 1);
  auto model = build(backend, red(expert::linear{}, router::uniform{}, 3), io, 1);
  const auto without = remove_expert(model, 0);
  CHECK(without.find("experts.0.weight").host() == model.find("experts.1.weight").host());
  CHECK(take_expert(model, 2).size() == 2);
  put_expert(model, 0, take_expert(model, 2));
  CHECK(model.find("experts.0.weight").host() == model.find("experts.2.weight").host());
}
