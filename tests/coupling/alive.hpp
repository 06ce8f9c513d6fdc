// Couplings inside a mixture of MLP experts: what each parameter does.
#pragma once
#include <modx/combiner/softmax.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/loss/mse.hpp>
#include <modx/module/mixture.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/router/softmax.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "coupling/part.hpp"

namespace coupled {

inline const modx::shape io{.in = 4, .out = 3};

/// A mixture of four small experts with this coupling.
template <class C>
auto mixture_with(const C& coupling) {
  return modx::module::mixture{.experts = modx::expert::mlp{.hidden = 5, .act = modx::activation::tanh},
                               .router = modx::router::softmax{},
                               .coupling = coupling,
                               .n_experts = 4};
}

/// Every element of every parameter of the coupling gets a gradient and moves, but those for which idle(name,
/// i) says not; changing a parameter changes the output.
template <class S, class Idle>
void all_alive(const S& spec, Idle idle) {
  cpu64 backend{2, 1};
  auto m = build(backend, spec, io);
  modx::laws::shake(m.parameters(), 1);
  const auto x = modx::laws::draw(5, "x", 32, 4), target = modx::laws::draw(5, "target", 32, 3);
  std::vector<matrix<double>> start;
  for (auto* p : m.parameters()) start.push_back(p->host());
  const auto before = m.predict(x);
  train_step(m, modx::optimizer::sgd{.lr = 0.5}, modx::loss::mse{}, x, target);
  for (std::size_t i = 0; i < start.size(); ++i) {
    auto& p = *m.parameters()[i];
    const auto now = p.host();
    for (std::size_t j = 0; j < now.data.size(); ++j) {
      INFO(p.name() << " " << j);
      CHECK((now.data[j] != start[i].data[j]) == !idle(p.name(), j));
    }
  }
  for (std::size_t i = 0; i < start.size(); ++i) m.parameters()[i]->set(start[i]);
  for (auto* p : m.parameters()) {
    INFO(p->name());
    const auto value = p->host();
    auto other = value;
    other.data[other.cols > 1 ? 1 : 0] += 0.1;
    p->set(other);
    CHECK_FALSE(near(m.predict(x), before, 1e-9));
    p->set(value);
  }
}
template <class S>
void all_alive(const S& spec) {
  all_alive(spec, [](const std::string&, std::size_t) { return false; });
}

}  // namespace coupled
