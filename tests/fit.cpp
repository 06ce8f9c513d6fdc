// fitter: a stage of training, epoch by epoch; what it selects, what it leaves alone, and going on from a saved state.
#include <limits>
#include <utility>

#include <modx/fit.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace modx;
using support::contains;
using support::cpu64;
using support::message;

namespace {

constexpr auto whole = [](const auto& net, auto x) { return net.forward(x); };

/// 96 rows in three classes that a linear head can tell apart, mostly.
template <class B>
dataset<B> three_classes(B& backend) {
  auto x = backend.normal(96, 4);
  dataset<B> data{{backend, 96, 4}, {}, {}};
  for (std::size_t i = 0; i < 96; ++i) {
    data.label.push_back(std::int32_t(i % 3));
    x(i, i % 3) += 1;
  }
  data.x = device_matrix<B>(backend, x, 4);
  return data;
}
std::vector<std::int32_t> range(std::int32_t from, std::int32_t to) {
  std::vector<std::int32_t> rows;
  for (; from < to; ++from) rows.push_back(from);
  return rows;
}
const auto training = range(0, 64), validation = range(64, 96);

/// Two layers, so that one can be frozen.
template <class B>
auto network(B& backend) {
  return build(backend, module::sequential(module::linear{.out = 8, .act = activation::tanh}, module::linear{}), {.in = 4, .out = 3}, 1);
}
template <class M>
auto values(const M& m) {
  std::vector<matrix<typename M::scalar>> all;
  for (auto* p : m.parameters()) all.push_back(p->host());
  return all;
}
/// Names of the parameters that differ.
template <class M>
std::string moved(const M& m, const std::vector<matrix<typename M::scalar>>& before) {
  std::string names;
  for (std::size_t i = 0; i < before.size(); ++i)
    if (m.parameters()[i]->host() != before[i]) names += m.parameters()[i]->name() + " ";
  return names;
}
template <class M, class B, class O = optimizer::adamw>
auto stage(M& m, const dataset<B>& data, const fit_options& o, const O& optimizer = {.lr = 0.02},
           const std::vector<std::int32_t>& rows = training, const std::vector<std::int32_t>& val = validation) {
  return fitter(m, optimizer, loss::cross_entropy{}, data, rows, val, data.label, whole, o);
}

}  // namespace

TEST_CASE("an epoch trains what is trainable, and says what it found") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  auto m = network(backend);
  m.train_only({"1.*"});
  const auto start = values(m);
  const auto untrained = evaluate(m, data, training, data.label, whole);
  auto fit = stage(m, data, {.max_epochs = 5, .batch_size = 16, .virtual_batch_size = 16, .patience = 0});
  std::vector<epoch_record> seen;
  while (!fit.done()) seen.push_back(fit.run_epoch());
  CHECK(moved(m, start) == "1.weight 1.bias ");
  REQUIRE(seen.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(seen[i].epoch == i + 1);
    CHECK(seen[i].seconds > 0);
  }
  CHECK(seen[4].loss < seen[0].loss);
  CHECK(seen[4].loss < untrained.loss);
  CHECK(seen[4].accuracy > untrained.accuracy);
  const auto now = evaluate(m, data, validation, data.label, whole);
  CHECK(seen[4].validation_loss == now.loss);
  CHECK(seen[4].validation_accuracy == now.accuracy);
}

TEST_CASE("loss and accuracy of an epoch are those of its batches") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  auto m = network(backend);
  const auto before = evaluate(m, data, training, data.label, whole);
  const auto e = stage(m, data, {.max_epochs = 1, .batch_size = 16}, optimizer::sgd{.lr = 1e-12}).run_epoch();
  CHECK(e.loss == Approx(before.loss).epsilon(1e-9));
  CHECK(e.accuracy == Approx(before.accuracy));
}

TEST_CASE("gradients accumulate: small batches make the updates of the large one") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  auto large = network(backend), small = network(backend), single = network(backend);
  stage(large, data, {.batch_size = 16, .virtual_batch_size = 16}).run_epoch();
  stage(small, data, {.batch_size = 4, .virtual_batch_size = 16}).run_epoch();
  stage(single, data, {.batch_size = 4, .virtual_batch_size = 4}).run_epoch();
  for (auto* p : large.parameters()) {
    CHECK(support::near(small.find(p->name()).host(), p->host(), 1e-10));
    CHECK_FALSE(support::near(single.find(p->name()).host(), p->host(), 1e-4));
    CHECK(p->updates == 4);
    CHECK(small.find(p->name()).updates == 4);
    CHECK(single.find(p->name()).updates == 16);
  }
}

TEST_CASE("the last batch may be smaller, and what it leaves over is applied") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  auto m = network(backend);
  stage(m, data, {.batch_size = 10, .virtual_batch_size = 30}).run_epoch();  // 7 batches: 3 + 3 + 1
  for (auto* p : m.parameters()) {
    CHECK(p->updates == 3);
    CHECK(p->gradient_is_fresh);
  }
}

TEST_CASE("the order of the rows depends on seed, stage and epoch, and on nothing else") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  const auto after = [&](const char* name, std::uint64_t seed) {
    auto m = network(backend);
    stage(m, data, {.name = name, .seed = seed, .batch_size = 8, .virtual_batch_size = 8}).run_epoch();
    return values(m);
  };
  CHECK(after("a", 1) == after("a", 1));
  CHECK(after("a", 1) != after("b", 1));
  CHECK(after("a", 1) != after("a", 2));

  std::vector<std::vector<std::int32_t>> orders;
  auto m = network(backend);
  std::vector<double> first_of_batch;
  auto watch = [&](const auto& net, auto x) {
    if (x.on().recording()) first_of_batch.push_back(x.host()(0, 0));
    return net.forward(x);
  };
  fitter fit(m, optimizer::sgd{.lr = 1e-12}, loss::cross_entropy{}, data, training, validation, data.label, watch,
             {.max_epochs = 2, .batch_size = 1, .virtual_batch_size = 1});
  fit.run_epoch(), fit.run_epoch();
  REQUIRE(first_of_batch.size() == 128);
  auto one = std::vector(first_of_batch.begin(), first_of_batch.begin() + 64);
  auto two = std::vector(first_of_batch.begin() + 64, first_of_batch.end());
  CHECK(one != two);
  std::sort(one.begin(), one.end()), std::sort(two.begin(), two.end());
  CHECK(one == two);  // every row once an epoch
}

TEST_CASE("a stage stops early and puts the best epoch's values back") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  auto m = network(backend);
  auto fit = stage(m, data, {.max_epochs = 200, .batch_size = 8, .virtual_batch_size = 8, .patience = 2}, {.lr = 0.1});
  std::vector<decltype(values(m))> after;
  std::vector<double> losses;
  while (!fit.done()) {
    const auto e = fit.run_epoch();
    losses.push_back(e.validation_loss), after.push_back(values(m));
    CHECK(e.best == (e.validation_loss == *std::min_element(losses.begin(), losses.end())));
  }
  REQUIRE(losses.size() < 200);
  const auto best = std::size_t(std::min_element(losses.begin(), losses.end()) - losses.begin());
  CHECK(losses.size() == best + 3);
  CHECK(fit.stopping().best_epoch() == best + 1);
  CHECK(values(m) != after[best]);
  fit.restore_best();
  CHECK(values(m) == after[best]);
}

TEST_CASE("selection on the training loss needs no validation rows") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  auto m = network(backend);
  auto fit = stage(m, data, {.max_epochs = 3, .select_on_training_loss = true}, {.lr = 0.01}, training, {});
  const auto e = fit.run_epoch();
  CHECK(e.best);
  CHECK(std::isnan(e.validation_loss));
  CHECK(fit.stopping().best() == e.loss);
}

TEST_CASE("optimizer_per_epoch forgets moments and steps between epochs, and clipping bounds an update") {
  cpu64 backend(1, 1);
  const auto data = three_classes(backend);
  auto kept = network(backend), fresh = network(backend), clipped = network(backend);
  auto a = stage(kept, data, {.batch_size = 16, .virtual_batch_size = 16});
  auto b = stage(fresh, data, {.batch_size = 16, .virtual_batch_size = 16, .optimizer_per_epoch = true});
  a.run_epoch(), b.run_epoch();
  CHECK(values(kept) == values(fresh));
  a.run_epoch(), b.run_epoch();
  CHECK(values(kept) != values(fresh));
  CHECK(kept.parameters()[0]->updates == 8);
  CHECK(fresh.parameters()[0]->updates == 4);

  const auto start = values(clipped);
  stage(clipped, data, {.batch_size = 64, .virtual_batch_size = 64, .clip_norm = 1e-3}, optimizer::sgd{.lr = 1}).run_epoch();
  double norm = 0;
  for (std::size_t i = 0; i < start.size(); ++i)
    for (std::size_t j = 0; j < start[i].data.size(); ++j)
      norm += std::pow(clipped.parameters()[i]->host().data[j] - start[i].data[j], 2);
  CHECK(std::sqrt(norm) == Approx(1e-3));
}

TEMPLATE_TEST_CASE("restored after any epoch, a stage ends in the same bits", "", optimizer::adamw, optimizer::sgd) {
  cpu backend(1, 1);
  const auto data = three_classes(backend);
  const TestType optimizer = [] {
    TestType o;
    o.lr = std::same_as<TestType, optimizer::sgd> ? 1 : 0.1;
    return o;
  }();
  const fit_options options{.max_epochs = 60, .batch_size = 8, .virtual_batch_size = 16, .patience = 3};
  auto reference = network(backend);
  reference.train_only({"1.*"});
  auto whole_run = stage(reference, data, options, optimizer);
  std::vector<double> losses;
  while (!whole_run.done()) losses.push_back(whole_run.run_epoch().validation_loss);
  whole_run.restore_best();
  REQUIRE(losses.size() > 3);
  REQUIRE(losses.size() < 60);  // out of patience

  for (std::size_t cut = 1; cut <= losses.size(); ++cut) {
    CAPTURE(cut);
    auto first = network(backend), second = network(backend);
    first.train_only({"1.*"}), second.train_only({"1.*"});
    auto a = stage(first, data, options, optimizer);
    for (std::size_t i = 0; i < cut; ++i) a.run_epoch();
    auto b = stage(second, data, options, optimizer);
    b.restore(a.state());
    CHECK(b.epoch() == cut);
    CHECK(b.stopping().best_epoch() == a.stopping().best_epoch());
    for (std::size_t i = cut; !b.done(); ++i) {
      REQUIRE(i < losses.size());
      CHECK(b.run_epoch().validation_loss == losses[i]);
    }
    CHECK(b.epoch() == losses.size());
    b.restore_best();
    CHECK(values(second) == values(reference));
  }
}

TEST_CASE("a state of another stage is refused, and nothing has changed") {
  cpu backend(1, 1);
  const auto data = three_classes(backend);
  auto m = network(backend);
  auto fit = stage(m, data, {.name = "here", .max_epochs = 9, .batch_size = 16});
  fit.run_epoch();
  const auto good = fit.state();
  CHECK(good.tensors.size() == 4 * 4);  // value, two moments and best of four parameters
  fit.run_epoch();
  const auto before = values(m);
  const auto refuses = [&](auto change, const std::string& why) {
    auto s = good;
    change(s);
    const auto said = message([&] { fit.restore(s); });
    CHECK(contains(said, "fit 'here', the saved state"));
    CHECK(contains(said, why));
    CHECK(values(m) == before);
    CHECK(fit.epoch() == 2);
  };
  for (std::size_t i = 0; i < good.tensors.size(); ++i) {
    const auto& name = good.tensors[i].first;
    CAPTURE(name);
    refuses([&](auto& s) { s.tensors[i].second = matrix<float>(7, 7); }, "'" + name + "'");
    if (!name.ends_with("#m") && !name.ends_with("#v"))
      refuses([&](auto& s) { s.tensors.erase(s.tensors.begin() + std::ptrdiff_t(i)); }, "expected '" + name + "', found none");
  }
  refuses([](auto& s) { s.tensors.emplace_back("extra", matrix<float>(1, 1)); }, "16 tensors, found 17");
  refuses([](auto& s) { s.best_epoch = s.epoch + 1; }, "a best epoch up to 1, found 2");
  fit.restore(good);
  CHECK(fit.epoch() == 1);
  CHECK(values(m) != before);
}

TEST_CASE("what can't be trained is refused by name") {
  cpu64 backend(1, 1);
  auto data = three_classes(backend);
  auto m = network(backend);
  const optimizer::adamw adamw;
  CHECK(contains(message([&] { stage(m, data, {.name = "s"}, adamw, {}); }), "fit 's': expected at least one training row, found none"));
  CHECK(contains(message([&] { stage(m, data, {.name = "s"}, adamw, training, {}); }), "fit 's': expected validation rows"));
  CHECK(contains(message([&] { stage(m, data, {.batch_size = 0}); }), "batch size > 0"));
  data.label.pop_back();
  CHECK(contains(message([&] { stage(m, data, {}); }), "96 targets, found 95"));
}

TEST_CASE("a loss that is not finite ends the stage with its name and epoch, and that step changes nothing") {
  cpu64 backend(1, 1);
  auto data = three_classes(backend);
  auto m = network(backend);
  auto fit = stage(m, data, {.name = "s", .batch_size = 64, .virtual_batch_size = 64});
  fit.run_epoch();
  m.find("1.bias").set(support::rows({{0, std::numeric_limits<double>::infinity(), 0}}));
  const auto before = m.find("1.weight").host();
  CHECK(contains(message([&] { fit.run_epoch(); }), "fit 's', epoch 2: expected a finite loss"));
  CHECK(m.find("1.weight").host() == before);
}
