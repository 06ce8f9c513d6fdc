// loss = weight f(t) sum over layers of mean_ij (C - I)_ij^2, C the cosines or dot products of experts' weights.
#pragma once
#include <modx/loss/orthogonality.hpp>

namespace modx::loss {

/// Of the parameters of `model` that match `pattern`, as "experts.*.up.weight"; those whose names differ in
/// the expert only are compared.  The published "frobenius" is measure::gram: it drives every norm to 1.
template <class B>
struct weight_orthogonality : term {
  using measure = orthogonality::measure;
  double weight = 0.05;
  std::uint64_t warmup = 0;
  measure of = measure::cosine;
  std::vector<std::vector<parameter<B>*>> layers;

  template <class M>
  weight_orthogonality(const M& model, std::string_view pattern, double w = 0.05, std::uint64_t steps = 0,
                       measure m = measure::cosine)
      : weight(w), warmup(steps), of(m) {
    std::vector<std::string> keys;
    for (auto* p : model.parameters()) {
      const auto& name = p->name();
      const auto at = name.rfind("experts.");
      if (!matches(pattern, name) || at == name.npos) continue;
      const std::string key = name.substr(0, at) + name.substr(name.find('.', at + 8));
      std::size_t i = 0;
      while (i < keys.size() && keys[i] != key) ++i;
      if (i == keys.size()) keys.push_back(key), layers.emplace_back();
      layers[i].push_back(p);
    }
    if (layers.empty())
      throw error("weight_orthogonality", "weights of experts that match '" + std::string(pattern) + "'",
                  "none");
  }
  bool operator==(const weight_orthogonality&) const = default;

  template <class Target>
  var<B> operator()(var<B> y, const Target&) const {
    auto& t = y.on();
    const std::uint64_t at = warmup ? std::uint64_t(t.context.step) : 0;
    const double ready = at < warmup ? double(at) / double(warmup) : 1;
    var<B> total;
    for (const auto& layer : layers) {
      const std::size_t e = layer.size();
      auto* w = t.template host<var<B>>(e);
      for (std::size_t i = 0; i < e; ++i) w[i] = t.use(*layer[i]);
      const auto rows = ops::gram_experts(
          ops::stack(std::span<const var<B>>(w, e)));  // a Gram matrix for each row of the weights
      auto c = double(layer[0]->rows()) * ops::mean_of_rows(rows);
      if (of == measure::cosine) c = detail::cosines(c, e);
      const auto one = (weight * ready) * detail::off_identity(c, e, of == measure::gram, {});
      total = total ? total + one : one;
    }
    return total;
  }
};
template <class M>
weight_orthogonality(const M&, std::string_view) -> weight_orthogonality<typename M::backend_type>;
template <class M>
weight_orthogonality(const M&, std::string_view, double) -> weight_orthogonality<typename M::backend_type>;
template <class M>
weight_orthogonality(const M&, std::string_view, double, std::uint64_t)
    -> weight_orthogonality<typename M::backend_type>;
template <class M>
weight_orthogonality(const M&, std::string_view, double, std::uint64_t, orthogonality::measure)
    -> weight_orthogonality<typename M::backend_type>;

}  // namespace modx::loss
