// expect: modx: probabilities are made of a modx::var<B> whose rows sum to 1: modx::ops::softmax_rows(logits)
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/model.hpp>
#include <modx/module/mixture.hpp>

struct nearest {
  bool operator==(const nearest&) const = default;
  template <modx::Backend B>
  struct bound {
    bound(modx::builder<B>&, const nearest&, modx::shape) {}
    modx::dense_routing<B> route(modx::var<B> x) const {
      const modx::logits<B> scores = x;
      return {scores, scores};
    }
  };
};

void use() {
  modx::cpu backend;
  auto spec = modx::module::mixture{.experts = modx::expert::linear{}, .router = nearest{}};
  auto model = modx::build(backend, spec, {.in = 2, .out = 2});
  model.predict(backend.normal(8, 2));
}
