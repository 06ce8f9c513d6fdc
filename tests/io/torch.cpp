// modx against PyTorch in double: values, gradients and whole training steps, from the file that
// tests/torch/reference.py writes.  Its path is in MODX_TORCH_REFERENCE; without it the tests are skipped.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <modx/backend/cpu.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/combiner/residual_sum.hpp>
#include <modx/expert/linear.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/loss/load_balance.hpp>
#include <modx/loss/mse.hpp>
#include <modx/loss/router_z.hpp>
#include <modx/module/conv2d.hpp>
#include <modx/module/flatten.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/router/softmax.hpp>
#include <modx/router/top_k.hpp>
#include <modx/router/uniform.hpp>
#include <modx/train.hpp>
#include <nlohmann/json.hpp>

#include "catch.hpp"

namespace {

using namespace modx;
using cpu64 = basic_cpu<double>;
using variable = var<cpu64>;

/// All cases, or null when there is no file; then "MODX_SKIP: <why>" has been printed.
const nlohmann::json* reference() {
  static const nlohmann::json cases = [] {
    const char* path = std::getenv("MODX_TORCH_REFERENCE");
    std::ifstream in(path ? path : "");
    if (!path || !in) {
      std::printf("MODX_SKIP: %s\n", path ? "the file that MODX_TORCH_REFERENCE names cannot be opened"
                                          : "MODX_TORCH_REFERENCE does not name a file of tests/torch/reference.py");
      return nlohmann::json();
    }
    return nlohmann::json::parse(in);
  }();
  return cases.is_object() ? &cases : nullptr;
}

/// One case: its tensors as rows x columns, vectors as one row.
class reference_case {
  const nlohmann::json* tensors_;

 public:
  explicit reference_case(const nlohmann::json& tensors) : tensors_(&tensors) {}
  bool has(const std::string& name) const { return tensors_->contains(name); }
  matrix<double> operator[](const std::string& name) const {
    const auto& t = tensors_->at(name);
    const auto extents = t.at("shape").get<std::vector<std::size_t>>();
    matrix<double> m(extents.size() < 2 ? 1 : extents[0], extents.empty() ? 1 : extents.back());
    m.data = t.at("data").get<std::vector<double>>();
    if (m.data.size() != m.rows * m.cols) throw error("reference '" + name + "' has another size than its shape");
    return m;
  }
  double number(const std::string& name) const { return (*this)[name].data[0]; }
  std::size_t count(const std::string& name) const { return std::size_t(number(name)); }
  std::vector<std::int32_t> ids(const std::string& name) const {
    return tensors_->at(name).at("data").get<std::vector<std::int32_t>>();
  }
};

/// f(name, case) for every case whose name starts with `prefix`; there must be `expected` of them.
void for_cases(const std::string& prefix, int expected,
               const std::function<void(const std::string&, const reference_case&)>& f) {
  const auto* all = reference();
  if (!all) return;
  int found = 0;
  for (const auto& [name, tensors] : all->items())
    if (name.starts_with(prefix)) {
      INFO(name);
      f(name, reference_case(tensors));
      ++found;
    }
  CHECK(found == expected);
}

/// Largest difference, as a share of the largest value that is expected (or of 1e-6: some gradients are exactly 0).
double difference(const matrix<double>& expected, const double* found) {
  double off = 0, size = 1e-6;
  for (const double x : expected.data) size = std::fmax(size, std::fabs(x));
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    const double d = std::fabs(expected.data[i] - (found ? found[i] : 0));
    off = d > off || std::isnan(d) ? d : off;
  }
  return off / size;
}
double difference(const matrix<double>& expected, const matrix<double>& found) {
  REQUIRE(expected.data.size() == found.data.size());
  return difference(expected, found.data.data());
}
constexpr double exact = 1e-10;

/// Values and gradients of y = f(leaves) against the case's "y", "dx", ... when "dy" (or 1) comes back.
void check(const reference_case& c, const std::vector<std::pair<std::string, extent>>& leaves, const char* result,
           const std::function<variable(tape<cpu64>&, const std::vector<variable>&)>& f) {
  cpu64 backend{1, 2};
  tape<cpu64> t(backend);
  std::vector<variable> in;
  for (const auto& [name, columns] : leaves) {
    const auto m = c[name];
    in.push_back(t.input(m.data, m.rows, columns.size() ? columns : extent(m.cols), true));
  }
  const variable y = f(t, in);
  CHECK(difference(c[result], y.host()) < exact);
  t.backward(c.has("dy") ? ops::sum(ops::reshape(y, y.cols()) * t.input(c["dy"])) : y);
  for (std::size_t i = 0; i < in.size(); ++i) {
    INFO("d" << leaves[i].first);
    CHECK(difference(c["d" + leaves[i].first], in[i].has_gradient() ? in[i].gradient() : nullptr) < exact);
  }
}

template <class M>
void set_parameters(M& m, const reference_case& c) {
  for (auto* p : m.parameters()) p->set(c[p->name()].data);
}
template <class M>
void check_gradients(M& m, const reference_case& c) {
  for (auto* p : m.parameters()) {
    INFO("d" << p->name());
    CHECK(difference(c["d" + p->name()], p->gradient()) < exact);
  }
}

}  // namespace

TEST_CASE("torch: linear layers") {
  for_cases("linear_", 4, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {}}, {"weight", {}}, {"bias", {}}}, "y",
          [](auto&, const auto& in) { return ops::linear(in[0], in[1], in[2]); });
  });
}

TEST_CASE("torch: activations") {
  const std::pair<const char*, activation> all[] = {
      {"relu", activation::relu}, {"gelu", activation::gelu}, {"silu", activation::silu}, {"tanh", activation::tanh}};
  for (const auto& [name, act] : all)
    for_cases(name, 1, [act = act](const std::string&, const reference_case& c) {
      check(c, {{"x", {}}}, "y", [&](auto&, const auto& in) { return ops::activate(in[0], act); });
    });
}

TEST_CASE("torch: softmaxes") {
  for_cases("softmax_", 3, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {}}}, "y", [](auto&, const auto& in) { return ops::softmax_rows(in[0]); });
  });
  for_cases("log_softmax_", 4, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {}}}, "y", [](auto&, const auto& in) { return ops::log_softmax_rows(in[0]); });
  });
}

TEST_CASE("torch: losses") {
  for_cases("cross_entropy_", 5, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {}}}, "loss", [&](auto& t, const auto& in) {
      const auto label = c.ids("labels");
      return loss::cross_entropy{}(in[0], labels{t.input(ids(label)), label.size()});
    });
  });
  for_cases("mse_", 2, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {}}}, "loss", [&](auto& t, const auto& in) { return loss::mse{}(in[0], t.input(c["target"])); });
  });
  for_cases("router_z_", 5, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {}}}, "loss", [](auto&, const auto& in) {
      remember(dense_routing<cpu64>{{in[0]}, {ops::softmax_rows(in[0])}});
      return loss::router_z{1}(in[0], labels{});
    });
  });
  for_cases("load_balance_", 5, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {}}}, "loss", [&](auto& t, const auto& in) {
      const std::size_t k = c.count("k"), n = in[0].rows(), e = in[0].cols();
      const auto* id = ops::top_k(in[0], k);
      CHECK(std::vector<std::int32_t>(id, id + n * k) == c.ids("indices"));
      const auto p = ops::softmax_rows(in[0]);
      remember(top_k_routing<cpu64>{{in[0]}, {p}, {p}, id, ops::sort_by_expert(t, id, n, k, e)});
      return loss::load_balance{1}(in[0], labels{});
    });
  });
}

TEST_CASE("torch: convolutions and pooling") {
  const auto convolution = [](const std::string& name, const reference_case& c) {
    const extent image(c.count("height"), c.count("width"), c.count("cin"));
    check(c, {{"x", image}, {"weight", {}}, {"bias", {}}}, "y", [&](auto&, const auto& in) {
      return ops::conv2d(in[0], in[1], in[2], c.count("kernel"), c.count("pad"), name.starts_with("conv_relu"),
                         c.count("pool"));
    });
  };
  for_cases("conv2d_", 11, convolution);
  for_cases("conv_relu_pool_", 5, convolution);
  for_cases("max_pool_", 6, [](const std::string&, const reference_case& c) {
    check(c, {{"x", {c.count("height"), c.count("width"), c.count("channels")}}}, "y",
          [&](auto&, const auto& in) { return ops::max_pool(in[0], c.count("pool")); });
  });
}

namespace {

/// A dense mixture: output, cross-entropy and the gradients of input and parameters.
template <class S>
void check_dense(const S& spec, const reference_case& c) {
  cpu64 backend{1, 2};
  const auto x = c["x"];
  auto m = build(backend, spec, {.in = x.cols, .out = c["y"].cols});
  set_parameters(m, c);
  check(c, {{"x", {}}}, "loss", [&](auto& t, const auto& in) {
    const auto label = c.ids("labels");
    const auto y = m.forward(in[0]);
    CHECK(difference(c["y"], y.host()) < exact);
    return loss::cross_entropy{}(y, labels{t.input(ids(label)), label.size()});
  });
  check_gradients(m, c);
}

}  // namespace

TEST_CASE("torch: dense mixtures") {
  const auto with = [](auto routing, auto combining) {
    return module::mixture{.base = module::linear{},
                           .experts = expert::linear{},
                           .router = routing,
                           .combiner = combining,
                           .n_experts = 5};
  };
  for_cases("mixture_residual", 2, [&](const std::string& name, const reference_case& c) {
    if (name == "mixture_residual")
      return check_dense(with(router::softmax{}, combiner::residual{c.number("scale")}), c);
    check_dense(with(router::softmax{}, combiner::residual_sum{c.number("scale")}), c);
  });
  for_cases("mixture_uniform", 1, [&](const std::string&, const reference_case& c) {
    check_dense(with(router::uniform{}, combiner::residual{c.number("scale")}), c);
  });
  for_cases("mixture_softmax", 1, [&](const std::string&, const reference_case& c) {
    check_dense(module::mixture{.experts = expert::linear{}, .router = router::softmax{}, .n_experts = 5}, c);
  });
}

TEST_CASE("torch: top-k mixtures") {
  for_cases("mixture_top_", 2, [](const std::string&, const reference_case& c) {
    cpu64 backend{1, 2};
    const auto spec = module::mixture{
        .experts = expert::mlp{.hidden = 8}, .router = router::top_k{.k = c.count("k")}, .n_experts = 4};
    auto m = build(backend, spec, {.in = 6, .out = 6});
    set_parameters(m, c);
    tape<cpu64> t(backend);
    const auto r = m.bound().route(t.input(c["x"]));
    CHECK(std::vector<std::int32_t>(r.ids, r.ids + r.weights.size()) == c.ids("indices"));
    CHECK(difference(c["weights"], r.weights.host()) < exact);
    check(c, {{"x", {}}}, "y", [&](auto&, const auto& in) { return m.forward(in[0]); });
    check_gradients(m, c);
  });
}

namespace {

/// Three steps from the same start: losses, first gradients, gradient norms, weights after one and three steps.
/// `own` says how the case calls a parameter of the model.
template <class S, class O, class F>
void check_steps(const S& spec, shape io, const O& optimizer, const reference_case& c, F&& own) {
  cpu64 backend{1, 2};
  auto m = build(backend, spec, io);
  for (auto* p : m.parameters()) p->set(c["step0." + own(p->name())].data);
  const auto x = c["x"], losses = c["losses"], norms = c["norms"];
  const auto label = c.ids("labels");
  // PyTorch scales by clip / (norm + 1e-6), modx by clip / norm: that far apart when gradients are clipped.
  const double clip = c.number("clip"), tolerance = clip > 0 ? 1e-6 : 1e-11;
  for (std::size_t step = 0; step < 3; ++step) {
    const double value = train_step(m, optimizer, loss::cross_entropy{}, x, label, {.update = false});
    CHECK(std::fabs(value - losses.data[step]) < tolerance * std::fabs(losses.data[step]));
    if (step == 0)
      for (auto* p : m.parameters()) CHECK(difference(c["d" + own(p->name())], p->gradient()) < exact);
    const double norm = apply_gradients(backend, m.parameters(), optimizer, 1, clip);
    if (clip > 0) CHECK(std::fabs(norm - norms.data[step]) < tolerance * norms.data[step]);
    if (step == 1) continue;
    for (auto* p : m.parameters()) {
      const std::string name = "step" + std::to_string(step + 1) + "." + own(p->name());
      INFO(name);
      CHECK(difference(c[name], p->host()) < tolerance);
    }
  }
}

template <class F>
void with_optimizer(const std::string& name, const reference_case& c, F&& f) {
  if (name.find("adamw") != name.npos)
    return f(optimizer::adamw{.lr = c.number("lr"),
                              .weight_decay = c.number("weight_decay"),
                              .beta1 = c.number("beta1"),
                              .beta2 = c.number("beta2"),
                              .eps = c.number("eps")});
  f(optimizer::sgd{.lr = c.number("lr"), .momentum = c.number("momentum"), .weight_decay = c.number("weight_decay")});
}

}  // namespace

TEST_CASE("torch: training steps of an MLP") {
  for_cases("train_step_mlp_", 4, [](const std::string& name, const reference_case& c) {
    with_optimizer(name, c, [&](const auto& o) {
      check_steps(module::sequential(module::linear{.out = 16, .act = activation::gelu}, module::linear{}),
                  {.in = 7, .out = 5}, o, c, [](const std::string& own) { return own; });
    });
  });
}

TEST_CASE("torch: training steps of a CNN") {
  for_cases("train_step_cnn_", 2, [](const std::string& name, const reference_case& c) {
    with_optimizer(name, c, [&](const auto& o) {
      using module::conv2d;
      const auto spec = module::sequential(conv2d{.channels = 3, .padding = 1, .relu = true, .pool = 2},
                                           conv2d{.channels = 4, .padding = 1, .relu = true, .pool = 2},
                                           module::flatten{}, module::linear{});
      check_steps(spec, {.in = {8, 8, 1}, .out = 5}, o, c,
                  [](const std::string& own) { return own[0] == '3' ? "2" + own.substr(1) : own; });
    });
  });
}
