// Two experiments of modx's own: routing noise, and recomposition (remove, restore, replace and add experts).
#pragma once
#include <modx/io/model_file.hpp>

#include "measure.hpp"

namespace red {

struct noise_kind {
  const char *kind, *label;
  std::vector<double> levels;
  modx::routing_perturbation (*at)(double level);
};
inline const std::vector<noise_kind>& noise_kinds() {
  static const std::vector<noise_kind> kinds = {
      {"gaussian", "σ of Gaussian noise on the router logits", {0, 0.5, 1, 2, 4, 8, 16},
       [](double x) { return modx::routing_perturbation{.sigma = x}; }},
      {"reroute", "probability of sending the largest weight to another expert", {0, 0.1, 0.25, 0.5, 0.75, 1},
       [](double x) { return modx::routing_perturbation{.reroute = x}; }},
      {"swap_top2", "share of tokens whose two largest weights change places (0 or all)", {0, 1},
       [](double x) { return modx::routing_perturbation{.swap_top_two = x > 0}; }}};
  return kinds;
}

/// Test accuracy of a mixture at each level of each kind: {"gaussian": [...], ...}.
template <class M>
json noise_curve(M& model, const features<M>& data, const std::vector<std::int32_t>& test, std::uint64_t seed) {
  json j;
  for (const auto& k : noise_kinds()) {
    j[k.kind] = json::array();
    for (const double level : k.levels) {
      auto p = k.at(level);
      p.seed = seed;
      j[k.kind].push_back(modx::evaluate(model, data, test, data.label, whole, &p).accuracy);
    }
  }
  return j;
}

/// Largest difference of two models' outputs on `rows`, 0 when they are the same bits.
template <class A, class C>
double output_difference(A& a, C& c, const features<A>& data, const std::vector<std::int32_t>& rows) {
  double worst = 0;
  const auto outputs = [&](auto& model) {
    auto& t = model.tape_of_step();
    t.reset();
    t.record_operations(false);
    auto y = model.forward(data.batch(t, rows)).host();
    t.record_operations(true);
    t.reset();
    return y;
  };
  const auto x = outputs(a), y = outputs(c);
  for (std::size_t i = 0; i < x.data.size(); ++i) worst = std::max(worst, double(std::abs(x.data[i] - y.data[i])));
  return worst;
}

struct recomposition_result {
  json rows = json::array();    // {"name", "acc", "per_domain_acc"}
  json checks = json::array();  // {"name", "ok", "detail"}
};

/// `library`: folder with the experts' files; `other`: the same experts trained from another seed.
template <class M>
recomposition_result recompose(const task& t, M& red, const M& other, const std::filesystem::path& library,
                               const features<M>& data, const splits& s) {
  recomposition_result out;
  const std::size_t experts = t.domain_count();
  const auto add = [&](const std::string& name, M& model) {
    auto scores = score(t, model, data, s.test, whole);
    out.rows.push_back({{"name", name}, {"acc", scores["acc"]}, {"per_domain_acc", scores["per_domain_acc"]}});
  };
  const std::vector<std::int32_t> some(s.test.begin(), s.test.begin() + std::ptrdiff_t(std::min<std::size_t>(512, s.test.size())));
  add("all " + cardinal(experts) + " experts", red);
  double restored = 0;
  for (std::size_t i = 0; i < experts; ++i) {
    auto without = modx::remove_expert(red, i);
    add("remove expert " + std::to_string(i) + " (" + t.domain(i) + ")", without);
    auto again = modx::add_expert(without, i);
    modx::put_expert(again, i, modx::io::load_values<float>(library / ("expert_" + std::to_string(i) + ".safetensors")));
    restored = std::max(restored, output_difference(red, again, data, some));
    if (i + 1 == experts) add("remove and add back from its file, each in turn (the last shown)", again);
  }
  for (std::size_t i = 0; i < experts; ++i) {
    auto replaced = modx::add_expert(modx::remove_expert(red, i), i);
    modx::put_expert(replaced, i, modx::take_expert(red, i));                 // the gate stays
    modx::put_expert(replaced, i, modx::take_expert(other, i), /*with_gate=*/false);
    add("replace expert " + std::to_string(i) + " by one trained with another seed", replaced);
  }
  const std::string one_more = "a " + ordinal(experts + 1) + ", zero-initialised expert";
  auto more = modx::add_expert(red, experts);
  add("add " + one_more, more);
  const double added = output_difference(red, more, data, some);
  // A CPU's sums don't depend on how many experts there are; a GPU may choose another kernel.
  const double rounding = std::is_same_v<typename M::backend_type, modx::cpu> ? 0 : 1e-5;
  out.checks.push_back({{"name", "an expert restored from its file gives the same bits"}, {"ok", restored == 0},
                        {"detail", "largest difference " + std::to_string(restored)}});
  out.checks.push_back({{"name", one_more + (rounding > 0 ? " does not change the output" : " changes no bit of the output")},
                        {"ok", added <= rounding}, {"detail", "largest difference " + std::to_string(added)}});
  return out;
}

}  // namespace red
