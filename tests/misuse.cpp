// The public entry points used wrongly: build, predict, train_step, fit, evaluate, data sets, recomposition, optimisers.
#include <cmath>
#include <functional>
#include <limits>
#include <modx/modx.hpp>

#include "misuse.hpp"

using namespace support;
using namespace modx;
using misuse::table;
using label_list = std::vector<std::int32_t>;

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
constexpr std::size_t negative = ~std::size_t(0);  // what -1 becomes
constexpr auto whole = [](const auto& net, auto x) { return net.forward(x); };

cpu64 backend{1, 2};

template <class S>
std::function<void()> building(S spec, shape io) {
  return [=] { build(backend, spec, io); };
}
auto moe(std::size_t experts, std::size_t k) {
  return module::mixture{.experts = expert::linear{}, .router = router::top_k{.k = k}, .n_experts = experts};
}
auto red() {
  return module::mixture{.base = module::linear{}, .experts = expert::linear{}, .router = router::softmax{},
                         .combiner = combiner::residual{}, .n_experts = 3};
}

table building() {
  const module::linear linear{};
  const shape io{.in = 3, .out = 2};
  table t;
  t.push_back({"build", "no columns in", building(linear, {.in = 0, .out = 2}), "build: expected columns in > 0, found 0"});
  t.push_back({"build", "no columns out", building(linear, {.in = 3, .out = 0}), "parameter 'weight': expected at least one row and column, found 3 x 0"});
  t.push_back({"build", "-1 columns in", building(linear, {.in = negative, .out = 2}), "extent: expected a size below 2^48 elements, found 1x1x18446744073709551615"});
  t.push_back({"build", "an image too large", building(linear, {.in = {negative, 2, 1}, .out = 2}), "extent: expected a size below 2^48 elements"});
  t.push_back({"build", "a product too large", building(linear, {.in = 1 << 30, .out = 1 << 30}), "weight: expected a size below 2^48 elements, found 1073741824 x 1073741824"});
  t.push_back({"build", "more than the memory", building(linear, {.in = 1 << 24, .out = 1 << 23}), "parameter 'weight': expected 1125899906842624 bytes of memory, found less"});
  t.push_back({"module::linear", "another width", building(module::linear{.out = 5}, io), "linear: expected 2 columns out (what surrounds it says), found 5"});
  t.push_back({"module::mlp", "another width", building(module::mlp{.out = 5}, io), "mlp: expected 2 columns out (what surrounds it says), found 5"});
  t.push_back({"module::mlp", "nothing hidden", building(module::mlp{.hidden = 0}, io), "parameter 'up.weight': expected at least one row and column, found 3 x 0"});
  t.push_back({"module::flatten", "another width", building(module::flatten{}, {.in = {2, 2, 1}, .out = 3}), "flatten: expected 3 columns out (what surrounds it says), found 4"});
  t.push_back({"module::max_pool", "another width", building(module::max_pool{}, {.in = {4, 4, 1}, .out = 5}), "max_pool: expected 5 columns out (what surrounds it says), found 2x2x1"});
  t.push_back({"module::max_pool", "no size", building(module::max_pool{.size = 0}, {.in = {4, 4, 1}, .out = 4}), "max_pool: expected size > 0, found 0"});
  t.push_back({"module::conv2d", "another width", building(module::conv2d{.channels = 2}, {.in = {4, 4, 1}, .out = 9}), "conv2d: expected 9 columns out (what surrounds it says), found 2x2x2"});
  t.push_back({"module::conv2d", "an image too small", building(module::conv2d{.kernel = 5}, {.in = {4, 4, 1}, .out = 9}), "conv2d: expected an image of at least 5 x 5"});
  t.push_back({"module::identity", "another width", building(module::identity{}, io), "identity: expected 3 columns out, found 2"});
  t.push_back({"module::residual", "another width", building(module::residual{linear}, io), "residual: expected 3 columns out (as many as come in), found 2"});
  t.push_back({"module::sequential", "a part without a width", building(module::sequential(linear, linear), io), "sequential, part 0: expected an output width of its own"});
  t.push_back({"module::sequential", "another width", building(module::sequential(module::linear{.out = 5}), io), "sequential, last part: expected 2 columns out, found 5"});
  t.push_back({"module::mixture", "e = 0", building(moe(0, 1), io), "mixture: expected experts > 0, found 0"});
  t.push_back({"module::mixture", "e = -1", building(moe(negative, 1), io), "mixture: expected experts > 0, found -1"});
  t.push_back({"module::mixture", "far too many experts", building(moe(std::size_t(1) << 40, 1), io), "mixture: expected at most 2^20 experts, found 1099511627776"});
  t.push_back({"module::mixture", "another width", [=] {
    build(backend, module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .out = 5}, io);
  }, "mixture: expected 2 columns out (what surrounds it says), found 5"});
  t.push_back({"router::top_k", "k = 0", building(moe(4, 0), io), "router::top_k: expected 1 <= k <= 4 experts, found k = 0"});
  t.push_back({"router::top_k", "k > e", building(moe(4, 5), io), "router::top_k: expected 1 <= k <= 4 experts, found k = 5"});
  for (const double temperature : {0.0, -1.0, nan})
    t.push_back({"router::softmax", "temperature " + std::to_string(temperature),
                 building(module::mixture{.experts = expert::linear{}, .router = router::softmax{.temperature = temperature}}, io),
                 "router::softmax: expected temperature > 0, found " + std::to_string(temperature)});
  t.push_back({"router::mlp_softmax", "nothing hidden",
               building(module::mixture{.experts = expert::linear{}, .router = router::mlp_softmax{.hidden = 0}}, io),
               "parameter 'router.up.weight': expected at least one row and column, found 3 x 0"});
  t.push_back({"router::uniform", "e = 0", [] {
    parameter_list<cpu64> list;
    builder<cpu64> b(backend, list, 1);
    router::uniform::bound<cpu64>(b, {}, {.in = 3, .out = 0});
  }, "router::uniform: expected experts > 0, found 0"});
  t.push_back({"router::oracle", "e = 0", [] {
    parameter_list<cpu64> list;
    builder<cpu64> b(backend, list, 1);
    router::oracle::bound<cpu64>(b, {}, {.in = 3, .out = 0});
  }, "router::oracle: expected experts > 0, found 0"});
  t.push_back({"expert::low_rank", "rank 0",
               building(module::mixture{.experts = expert::low_rank{.rank = 0}, .router = router::softmax{}}, io),
               "parameter 'experts.0.u': expected at least one row and column, found 3 x 0"});
  t.push_back({"cpu", "threads -1", [] { cpu64(1, -1); }, "cpu: expected threads >= 0, found -1"});
  t.push_back({"cpu", "threads 1025", [] { cpu64(1, 1025); }, "thread_pool: expected 1 to 1024 threads, found 1025"});
  t.push_back({"cpu::normal", "huge", [] { backend.normal(negative, 2); }, "matrix: expected a size below 2^48 elements"});
  t.push_back({"matrix", "huge", [] { matrix<double>(std::size_t(1) << 33, std::size_t(1) << 33); }, "matrix: expected a size below 2^48 elements, found 8589934592 x 8589934592"});
  return t;
}

/// A linear model 3 -> 2 with something to learn.
struct fixture {
  model<module::linear, cpu64> m = build(backend, module::linear{}, {.in = 3, .out = 2});
  matrix<double> x = backend.normal(8, 3), y = backend.normal(8, 2);
  label_list label = {0, 1, 0, 1, 0, 1, 0, 1};
  dataset<cpu64> data{{backend, x, 3}, label, {}};
  label_list rows = all_rows(8);

  double step() { return train_step(m, optimizer::sgd{}, loss::cross_entropy{}, x, label); }
  auto stage(const fit_options& o = {}) { return fitter(m, optimizer::sgd{}, loss::cross_entropy{}, data, rows, rows, label, whole, o); }
};
/// f(fixture), and whether it throws or not: its parameters keep their values, and the model can be trained after it.
std::function<void()> with(std::function<void(fixture&)> f) {
  return [=] {
    fixture a;
    const auto before = a.m.find("weight").host();
    const auto after = [&] {
      CHECK(a.m.find("weight").host() == before);
      a.m.train_only({"*"});
      const fixture fine;
      CHECK(std::isfinite(train_step(a.m, optimizer::sgd{}, loss::cross_entropy{}, fine.x, fine.label)));
    };
    try {
      f(a);
    } catch (...) {
      after();
      throw;
    }
    after();
  };
}
void not_a_number(matrix<double>& m) {
  for (double& v : m.row(1)) v = nan;
}

table training() {
  table t;
  const std::string cross = "cross_entropy, label of token 1: expected 0 <= label < 2, found ";
  t.push_back({"predict", "a column more", with([](auto& a) { a.m.predict(backend.normal(8, 4)); }), "predict: expected 3 columns, found 4"});
  t.push_back({"predict", "a column less", with([](auto& a) { a.m.predict(backend.normal(8, 2)); }), "predict: expected 3 columns, found 2"});
  t.push_back({"predict", "values that are missing", with([](auto& a) {
    auto x = a.x;
    x.data.pop_back();
    a.m.predict(x);
  }), "input: expected 24 values, found 23"});
  t.push_back({"predict", "no rows", with([](auto& a) { CHECK(a.m.predict(matrix<double>(0, 3)) == matrix<double>(0, 2)); }), ""});
  t.push_back({"predict", "NaN row", with([](auto& a) {
    const auto clean = a.m.predict(a.x);
    auto x = a.x;
    not_a_number(x);
    const auto y = a.m.predict(x);
    CHECK((std::isnan(y(1, 0)) && y(0, 0) == clean(0, 0) && y(2, 1) == clean(2, 1)));
  }), ""});
  t.push_back({"predict", "no rows, every architecture", [] {
    CHECK(build(backend, moe(3, 2), {.in = 3, .out = 2}).predict(matrix<double>(0, 3)).rows == 0);
    CHECK(build(backend, red(), {.in = 3, .out = 2}).predict(matrix<double>(0, 3)).rows == 0);
  }, ""});
  t.push_back({"predict", "NaN row, top-k", [] {
    auto m = build(backend, moe(3, 2), {.in = 3, .out = 2});
    auto x = backend.normal(8, 3);
    const auto clean = m.predict(x);
    not_a_number(x);
    const auto y = m.predict(x);
    CHECK((std::isnan(y(1, 0)) && y(0, 0) == clean(0, 0) && y(7, 1) == clean(7, 1)));
  }, ""});
  t.push_back({"predict", "an oracle without domains", [] {
    auto m = build(backend, module::mixture{.experts = expert::linear{}, .router = router::oracle{}}, {.in = 3, .out = 2});
    m.predict(backend.normal(8, 3));
  }, "router::oracle: expected the domain of each token"});

  const auto step = [](auto change) {
    return with([=](fixture& a) {
      change(a);
      a.step();
    });
  };
  t.push_back({"train_step", "a column more", step([](auto& a) { a.x = backend.normal(8, 4); }), "linear: expected 4 rows of the weight (the input's width), found 3"});
  t.push_back({"train_step", "a column less", step([](auto& a) { a.x = backend.normal(8, 2); }), "linear: expected 2 rows of the weight (the input's width), found 3"});
  t.push_back({"train_step", "no rows", step([](auto& a) { a.x = matrix<double>(0, 3), a.label = {}; }), "train_step: expected rows > 0, found 0"});
  t.push_back({"train_step", "a label less", step([](auto& a) { a.label.pop_back(); }), "cross_entropy: expected 8 labels, found 7"});
  t.push_back({"train_step", "negative id", step([](auto& a) { a.label[1] = -1; }), cross + "-1"});
  t.push_back({"train_step", "id too large", step([](auto& a) { a.label[1] = 2; }), cross + "2"});
  t.push_back({"train_step", "values that are missing", step([](auto& a) { a.x.data.pop_back(); }), "input: expected 24 values, found 23"});
  t.push_back({"train_step", "NaN row", step([](auto& a) { not_a_number(a.x); }), "train_step: expected a finite loss, found "});
  t.push_back({"train_step", "everything frozen", step([](auto& a) { a.m.train_only({}); }), "backward: the loss depends on no trainable parameter"});
  t.push_back({"train_step", "accumulation 0", with([](auto& a) {
    train_step(a.m, optimizer::sgd{}, loss::cross_entropy{}, a.x, a.label, {.accumulation = 0});
  }), "train_step: expected accumulation > 0, found 0"});
  t.push_back({"train_step", "a target of another shape", with([](auto& a) {
    train_step(a.m, optimizer::sgd{}, loss::mse{}, a.x, backend.normal(8, 3));
  }), "subtract: expected 8 x 2, found 8 x 3"});
  t.push_back({"train_step", "input and target the same", [] {
    auto m = build(backend, module::linear{}, {.in = 2, .out = 2});
    const auto x = backend.normal(8, 2);
    CHECK(train_step(m, optimizer::sgd{}, loss::mse{}, x, x) > 0);
  }, ""});
  t.push_back({"train_step", "a domain too large", [] {
    auto m = build(backend, module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .combiner = combiner::oracle{}, .n_experts = 2},
                   {.in = 3, .out = 2});
    const std::int32_t domain[] = {0, 2};
    train_step(m, optimizer::sgd{}, loss::mse{}, backend.normal(2, 3), backend.normal(2, 2), {.domains = domain});
  }, "pick_expert, id of token 1: expected 0 <= id < 2, found 2"});
  t.push_back({"train_step", "a domain less", [] {
    auto m = build(backend, module::mixture{.experts = expert::linear{}, .router = router::oracle{}, .n_experts = 2}, {.in = 3, .out = 2});
    const std::int32_t domain[] = {0};
    train_step(m, optimizer::sgd{}, loss::mse{}, backend.normal(2, 3), backend.normal(2, 2), {.domains = domain});
  }, "router::oracle: expected 2 domain ids, found 1"});

  const auto fit = [](auto change, fit_options o = {.name = "s"}) {
    return with([=](fixture& a) {
      change(a);
      a.stage(o).run_epoch();
    });
  };
  t.push_back({"fit", "no rows", fit([](auto& a) { a.rows = {}; }), "fit 's': expected at least one training row, found none"});
  t.push_back({"fit", "negative id", fit([](auto& a) { a.rows[2] = -1; }), "fit, training, row 2: expected 0 <= id < 8, found -1"});
  t.push_back({"fit", "id too large", fit([](auto& a) { a.rows[2] = 8; }), "fit, training, row 2: expected 0 <= id < 8, found 8"});
  t.push_back({"fit", "a target less", fit([](auto& a) { a.label.pop_back(); }), "fit: expected 8 targets, found 7"});
  t.push_back({"fit", "batch size 0", fit([](auto&) {}, {.batch_size = 0}), "fit: expected batch size > 0, found 0"});
  t.push_back({"fit", "everything frozen", fit([](auto& a) { a.m.train_only({}); }), "fit 's': expected at least one trainable parameter, found none"});
  t.push_back({"fit", "a label too large", fit([](auto& a) { a.label[1] = 2; }), "expected 0 <= label < 2, found 2"});
  t.push_back({"fit", "NaN row", fit([](auto& a) {
    not_a_number(a.x);
    a.data.x = device_matrix<cpu64>(backend, a.x, 3);
  }), "fit 's', epoch 1: expected a finite loss, found "});
  t.push_back({"fit", "data of another width", fit([](auto& a) { a.data.x = device_matrix<cpu64>(backend, backend.normal(8, 4), 4); }), "linear: expected 4 rows of the weight"});
  t.push_back({"fit", "a virtual batch of 0", [] {
    fixture a;
    CHECK(std::isfinite(a.stage({.virtual_batch_size = 0}).run_epoch().loss));  // as large as the batch
  }, ""});

  const auto eval = [](auto change) {
    return with([=](fixture& a) {
      change(a);
      evaluate(a.m, a.data, a.rows, a.label, whole);
    });
  };
  t.push_back({"evaluate", "no rows", with([](auto& a) { CHECK(evaluate(a.m, a.data, ids{}, a.label, whole).predicted.empty()); }), ""});
  t.push_back({"evaluate", "negative id", eval([](auto& a) { a.rows[3] = -1; }), "dataset::batch, row 3: expected 0 <= id < 8, found -1"});
  t.push_back({"evaluate", "id too large", eval([](auto& a) { a.rows[3] = 8; }), "dataset::batch, row 3: expected 0 <= id < 8, found 8"});
  t.push_back({"evaluate", "a target less", eval([](auto& a) { a.label.pop_back(); }), "evaluate: expected 8 targets, found 7"});
  t.push_back({"evaluate", "a negative label", eval([](auto& a) { a.label[1] = -1; }), cross + "-1"});
  t.push_back({"evaluate", "batch 0", with([](auto& a) {
    evaluate(a.m, a.data, a.rows, a.label, whole, nullptr, [](auto&, ids) {}, 0);
  }), "evaluate: expected rows a batch > 0, found 0"});
  t.push_back({"evaluate", "NaN row", with([](auto& a) {
    not_a_number(a.x);
    a.data.x = device_matrix<cpu64>(backend, a.x, 3);
    const auto e = evaluate(a.m, a.data, a.rows, a.label, whole);
    CHECK(std::isnan(e.loss));
    CHECK(e.predicted[1] == 0);
  }), ""});
  t.push_back({"evaluate", "routing noise under top-k", [] {
    auto m = build(backend, moe(3, 2), {.in = 3, .out = 2});
    const fixture a;
    const routing_perturbation noise{.sigma = 1};
    evaluate(m, a.data, a.rows, a.label, whole, &noise);
  }, "mixture under routing noise: expected a dense router, found top-k"});
  return t;
}

table data_sets() {
  table t;
  t.push_back({"device_matrix", "a column more", [] { device_matrix<cpu64>(backend, backend.normal(2, 4), 3); }, "device_matrix: expected 3 columns, found 4"});
  t.push_back({"device_matrix", "values that are missing", [] {
    auto m = backend.normal(2, 3);
    m.data.pop_back();
    device_matrix<cpu64>(backend, m, 3);
  }, "device_matrix: expected 6 values, found 5"});
  t.push_back({"device_matrix", "huge", [] { device_matrix<cpu64>(backend, negative, 3); }, "device_matrix: expected a size below 2^48 elements"});
  t.push_back({"device_matrix", "more than the memory", [] { device_matrix<cpu64>(backend, std::size_t(1) << 47, 1); }, "device_matrix: expected 1125899906842624 bytes of memory, found less"});
  t.push_back({"device_matrix", "no rows", [] { CHECK(device_matrix<cpu64>(backend, matrix<double>(0, 3), 3).rows() == 0); }, ""});
  const auto batch = [](label_list id, label_list domain = {}) {
    return [=] {
      tape<cpu64> tape(backend);
      const auto x = dataset<cpu64>{{backend, backend.normal(4, 3), 3}, {}, domain}.batch(tape, id);
      CHECK(x.rows() == id.size());
    };
  };
  t.push_back({"dataset::batch", "no rows", batch({}, {0, 1, 0, 1}), ""});
  t.push_back({"dataset::batch", "a row twice", batch({1, 1}), ""});
  t.push_back({"dataset::batch", "negative id", batch({0, -1}, {0, 1, 0, 1}), "dataset::batch, row 1: expected 0 <= id < 4, found -1"});
  t.push_back({"dataset::batch", "id too large", batch({4}), "dataset::batch, row 0: expected 0 <= id < 4, found 4"});
  t.push_back({"dataset::batch", "a domain less", batch({0}, {0, 1, 0}), "dataset::batch: expected 4 domains, found 3"});
  t.push_back({"all_rows", "huge", [] { all_rows(std::size_t(1) << 40); }, "all_rows: expected below 2^31 rows, found 1099511627776"});
  t.push_back({"map_rows", "a column more", with([](auto& a) { map_rows(a.m, a.data, 3, whole); }), "map_rows: expected 3 columns, found 2"});
  t.push_back({"map_rows", "batch 0", with([](auto& a) { map_rows(a.m, a.data, 2, whole, 0); }), "map_rows: expected rows a batch > 0, found 0"});
  t.push_back({"map_rows", "no rows", with([](auto& a) {
    CHECK(map_rows(a.m, dataset<cpu64>{{backend, matrix<double>(0, 3), 3}, {}, {}}, 2, whole).rows() == 0);
  }), ""});
  t.push_back({"copy_parameters", "a pattern that matches nothing", with([](auto& a) { copy_parameters(a.m, a.m, "router.*"); }), "copy_parameters: no parameter matches 'router.*'"});
  t.push_back({"copy_parameters", "another width", with([](auto& a) {
    copy_parameters(build(backend, module::linear{}, {.in = 4, .out = 2}), a.m);
  }), "parameter 'weight': expected 3 x 2, found 4 x 2"});
  t.push_back({"copy_parameters", "to itself", with([](auto& a) { copy_parameters(a.m, a.m); }), ""});
  t.push_back({"train_only", "a pattern that matches nothing", with([](auto& a) { a.m.train_only({"weight", "gate"}); }), "train_only: no parameter matches 'gate'"});
  t.push_back({"find", "no such name", with([](auto& a) { a.m.find("gate"); }), "model: no parameter called 'gate'"});
  t.push_back({"parameter::set", "a row more", with([](auto& a) { a.m.find("weight").set(matrix<double>(4, 2)); }), "parameter 'weight': expected 3 x 2, found 4 x 2"});
  t.push_back({"parameter::set", "a value less", with([](auto& a) { a.m.find("weight").set(std::vector<double>(5)); }), "parameter 'weight': expected 6 values, found 5"});
  t.push_back({"tape::input", "a value less", [] { tape<cpu64>(backend).input(std::vector<double>(5), 2, 3); }, "input: expected 6 values, found 5"});
  t.push_back({"tape::input", "huge", [] { tape<cpu64>(backend).input(std::vector<double>(5), negative, 3); }, "input: expected a size below 2^48 elements"});
  t.push_back({"tape::tensor", "huge", [] { tape<cpu64>(backend).tensor(nullptr, std::size_t(1) << 40, std::size_t(1) << 40); }, "tensor: expected a size below 2^48 elements"});
  t.push_back({"tape::constant", "more than the memory", [] { tape<cpu64>(backend).constant(std::size_t(1) << 47, 1, 0); }, "tape: expected 1125899906842624 bytes of memory, found less"});
  t.push_back({"tape::device", "huge", [] { tape<cpu64>(backend).device<double>(negative); }, "tape: expected a size below 2^48 elements, found 18446744073709551615"});
  t.push_back({"tape::backward", "of more than a number", [] {
    tape<cpu64> tape(backend);
    tape.backward(tape.input(std::vector<double>(2), 1, 2, true));
  }, "backward (of a loss): expected 1 element, found 2"});
  t.push_back({"tape::backward", "of another tape", [] {
    tape<cpu64> one(backend), other(backend);
    one.backward(other.input(std::vector<double>(1), 1, 1, true));
  }, "backward: expected a loss on this tape, found one on another"});
  t.push_back({"var::item", "of more than a number", [] { tape<cpu64>(backend).constant(1, 2, 0).item(); }, "var::item: expected 1 element, found 2"});
  t.push_back({"var", "empty", [] { var<cpu64>{}.host(); }, "var: expected a tensor on a tape, found an empty handle"});
  return t;
}

table recomposition() {
  table t;
  const auto mixture = [](auto use) {
    return [=] {
      auto m = build(backend, red(), {.in = 3, .out = 2});
      const auto before = m.predict(backend.normal(4, 3)).rows;
      use(m);
      CHECK(before == 4);
    };
  };
  for (const std::size_t i : {std::size_t(3), negative}) {
    const std::string found = "found " + std::to_string(i), how = i == 3 ? "id too large" : "negative id";
    t.push_back({"remove_expert", how, mixture([=](auto& m) { remove_expert(m, i); }), "remove_expert: expected an expert below 3, " + found});
    t.push_back({"take_expert", how, mixture([=](auto& m) { take_expert(m, i); }), "take_expert: expected an expert below 3, " + found});
    t.push_back({"put_expert", how, mixture([=](auto& m) { put_expert(m, i, take_expert(m, 0)); }), "take_expert: expected an expert below 3, " + found});
    t.push_back({"open_gate", how, mixture([=](auto& m) { open_gate(m, i); }), "open_gate: expected an expert below 3, " + found});
    t.push_back({"mixture::expert", how, mixture([=](auto& m) {
      tape<cpu64> tape(backend);
      m.bound().expert(i, tape.constant(1, 3, 0));
    }), "mixture::expert: expected an expert below 3, " + found});
  }
  t.push_back({"add_expert", "behind the end", mixture([](auto& m) { add_expert(m, 4); }), "add_expert: expected a position up to 3, found 4"});
  t.push_back({"add_expert", "negative id", mixture([](auto& m) { add_expert(m, negative); }), "add_expert: expected a position up to 3"});
  t.push_back({"remove_expert", "the last one", [] {
    auto spec = red();
    spec.n_experts = 1;
    remove_expert(build(backend, spec, {.in = 3, .out = 2}), 0);
  }, "remove_expert: expected at least two experts, found one"});
  t.push_back({"put_expert", "a tensor missing", mixture([](auto& m) { put_expert(m, 0, {}); }), "put_expert: expected a tensor 'weight', found none"});
  t.push_back({"put_expert", "its own values", mixture([](auto& m) {
    const auto own = m.find("experts.1.weight").host();
    put_expert(m, 1, take_expert(m, 1));
    CHECK(m.find("experts.1.weight").host() == own);
  }), ""});
  return t;
}

table optimizers_and_losses() {
  table t;
  /// One step of this optimiser changes nothing when it throws.
  const auto step = [](auto optimizer) {
    return with([=](fixture& a) {
      train_step(a.m, optimizer, loss::cross_entropy{}, a.x, a.label);
    });
  };
  using optimizer::adamw, optimizer::sgd;
  t.push_back({"optimizer::sgd", "NaN", step(sgd{.lr = nan}), "optimizer::sgd: expected a finite learning rate, found "});
  t.push_back({"optimizer::sgd", "infinite", step(sgd{.lr = infinity}), "optimizer::sgd: expected a finite learning rate, found inf"});
  t.push_back({"optimizer::sgd", "momentum NaN", step(sgd{.momentum = nan}), "optimizer::sgd: expected a finite momentum, found "});
  t.push_back({"optimizer::sgd", "weight decay NaN", step(sgd{.weight_decay = nan}), "optimizer::sgd: expected a finite weight decay, found "});
  t.push_back({"optimizer::sgd", "learning rate 0", step(sgd{.lr = 0}), ""});
  t.push_back({"optimizer::adamw", "NaN", step(adamw{.lr = nan}), "optimizer::adamw: expected a finite learning rate, found "});
  t.push_back({"optimizer::adamw", "weight decay NaN", step(adamw{.weight_decay = nan}), "optimizer::adamw: expected a finite weight decay, found "});
  t.push_back({"optimizer::adamw", "eps NaN", step(adamw{.eps = nan}), "optimizer::adamw: expected a finite eps, found "});
  t.push_back({"optimizer::adamw", "beta1 = 1", step(adamw{.beta1 = 1}), "optimizer::adamw: expected 0.000000 <= beta1 < 1.000000, found 1.000000"});
  t.push_back({"optimizer::adamw", "beta2 < 0", step(adamw{.beta2 = -0.5}), "optimizer::adamw: expected 0.000000 <= beta2 < 1.000000, found -0.500000"});
  t.push_back({"optimizer::scheduled", "NaN", step(optimizer::scheduled{sgd{}, schedule::constant{nan}}), "optimizer::sgd: expected a finite learning rate, found "});
  t.push_back({"optimizer::update", "no parameters", [] { adamw{}.update(std::span<parameter<cpu64>* const>(), 1, 1); }, ""});
  t.push_back({"schedule", "no steps", [] {
    CHECK(schedule::cosine{.to = 0.5, .steps = 0}(0) == 0.5);
    CHECK(schedule::linear{.to = 0.5, .steps = 0}(0) == 0.5);
    CHECK(schedule::warmup<>{.steps = 0}(0) == 1);
  }, ""});
  t.push_back({"early_stopping", "NaN", [] {
    early_stopping s(1);
    const bool better = s.improved(nan);
    CHECK_FALSE(better);
    CHECK(s.stop());
  }, ""});

  const auto on_tape = [](auto f) {
    return [=] {
      tape<cpu64> tape(backend);
      f(tape);
    };
  };
  t.push_back({"loss::mse", "a column more", on_tape([](auto& on) { loss::mse{}(on.constant(2, 3, 0), on.constant(2, 4, 0)); }), "subtract: expected 2 x 3, found 2 x 4"});
  t.push_back({"loss::mse", "no rows", on_tape([](auto& on) { loss::mse{}(on.constant(0, 3, 0), on.constant(0, 3, 0)); }), "mean: expected values > 0, found 0"});
  t.push_back({"loss::mse", "aliased", on_tape([](auto& on) {
    const auto x = on.input(std::vector<double>{1, 2}, 1, 2, true);
    const auto value = loss::mse{}(x, x);
    on.backward(value);
    CHECK(value.item() == 0);
    CHECK(x.gradient()[1] == 0);
  }), ""});
  t.push_back({"loss::cross_entropy", "a label less", on_tape([](auto& on) {
    loss::cross_entropy{}(on.constant(2, 3, 0), labels{on.input(label_list{0}), 1});
  }), "cross_entropy: expected 2 labels, found 1"});
  t.push_back({"loss::load_balance", "no router", on_tape([](auto& on) { loss::load_balance{}(on.constant(2, 3, 0), labels{}); }), "load_balance: expected a router in the forward pass, found none"});
  t.push_back({"loss::router_z", "no router", on_tape([](auto& on) { loss::router_z{}(on.constant(2, 3, 0), labels{}); }), "router_z: expected a router in the forward pass, found none"});
  return t;
}

}  // namespace

TEST_CASE("entry points used wrongly say so, change nothing, and can be used again") {
  SECTION("building") { misuse::run(building()); }
  SECTION("training") { misuse::run(training()); }
  SECTION("data sets") { misuse::run(data_sets()); }
  SECTION("recomposition") { misuse::run(recomposition()); }
  SECTION("optimisers and losses") { misuse::run(optimizers_and_losses()); }
}
