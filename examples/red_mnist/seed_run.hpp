// One seed of the benchmark: the base stage on images, then RED's stages on the encoder's features.
#pragma once
#include "../red/seed_run.hpp"
#include "data.hpp"
#include "encoder.hpp"

namespace red_mnist {

/// The features are those of the encoder, in a batch of another size, where sums don't depend on it.
template <modx::Backend B, class M>
nlohmann::ordered_json check_features(M& base, const modx::dataset<B>& images, const modx::dataset<B>& h) {
  const std::size_t count = std::is_same_v<B, modx::cpu> ? 100 : 256;
  auto& t = base.tape_of_step();
  t.record_operations(false);
  t.reset();
  const auto some = modx::all_rows(std::min(count, images.size()));
  const auto fresh = base.bound().template forward_between<0, 1>(images.batch(t, some)).host();
  const bool same = fresh == t.tensor(h.x.data(), fresh.rows, fresh.cols).host();
  t.record_operations(true);
  t.reset();
  return {{"name", "features computed once are the encoder's, bit for bit"}, {"ok", same},
          {"detail", std::to_string(some.size()) + " rows compared"}};
}

/// Stage 1: encoder and base head on a tenth of the data.  Everything after it sees the encoder frozen, so the features are
/// computed once.
template <modx::Backend B, class P>
nlohmann::ordered_json run_seed(B& backend, const options& o, const modx::dataset<B>& images, red::seed_run<B, P>& run) {
  const modx::shape io{images.x.columns(), classes};
  auto base = modx::build(backend, base_network(o.hidden_dim), io, run.seed());
  run.stages().run("base", base, {"*"}, run.adamw(o.lr_base), modx::loss::cross_entropy{}, images, run.rows().base,
                   run.validation(run.rows().val), images.label, red::whole, run.fit(o.max_epochs_base));
  const modx::dataset<B> h{modx::map_rows(base, images, o.hidden_dim,
                                          [](const auto& net, auto x) { return net.template forward_between<0, 1>(x); }),
                           images.label, images.domain};
  const modx::named_values<float> head{{"weight", base.find("1.weight").host()}, {"bias", base.find("1.bias").host()}};
  auto out = run.run(h, head, base.parameter_count() - (o.hidden_dim + 1) * classes);
  out["checks"].push_back(check_features(base, images, h));
  run.stages().finish();
  return out;
}

}  // namespace red_mnist
