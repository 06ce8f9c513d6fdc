// One seed of the benchmark: backbone, base stage on cached hidden states, then RED's stages on pooled features.
#pragma once
#include "backbone.hpp"
#include "encoder.hpp"

namespace red_arithmetic {

/// The features are those of the encoder, in a batch of another size.
template <class M, modx::Backend B>
nlohmann::ordered_json check_features(M& base, const modx::io::hidden_dataset& texts, const modx::dataset<B>& h) {
  auto& t = base.tape_of_step();
  t.reset();
  modx::matrix<float> fresh;
  const auto some = modx::all_rows(std::min<std::size_t>(100, texts.size()));
  {
    const modx::unrecorded<B> quiet(t);
    fresh = base.bound().template forward_between<0, 1>(texts.batch(t, some)).host();
  }
  const bool same = fresh == t.tensor(h.x.data(), fresh.rows, fresh.cols).host();
  t.reset();
  return {{"name", "features computed once are the encoder's, bit for bit"}, {"ok", same},
          {"detail", std::to_string(some.size()) + " rows compared"}};
}

/// `loaded`: the backbone of a folder, or null for a tiny one.
template <modx::Backend B, class P>
nlohmann::ordered_json run_seed(B& backend, const options& o, const P& parts, const question_set& q, const std::filesystem::path& folder,
                                modx::io::progress& bar, backbone<B>* loaded, red::seed_run<B, P>& run) {
  const std::string label = "seed " + std::to_string(run.seed()) + "  ";
  std::filesystem::create_directories(folder);
  std::optional<backbone<B>> tiny;
  if (!loaded) loaded = &tiny.emplace(train_tiny(backend, o, q, run));
  const auto& spec = loaded->model.spec();
  const std::size_t layer = spec.blocks - o.trained_blocks;
  const auto cache = hidden_states(*loaded, q, folder / "hidden.safetensors", layer, bar, label);
  const modx::io::hidden_dataset texts{&cache, q.label, q.domain};

  auto base = modx::build(backend, base_network(spec, o.trained_blocks, o.pooling == "last", parts.head), {spec.width, arithmetic::classes},
                          run.seed());
  put_blocks(loaded->model, base, o.trained_blocks);
  auto fit = run.fit(o.max_epochs_base);
  fit.graphs = false;  // texts have many lengths
  run.stages().run("base", base, {"0.0.*", "1.*"}, run.adamw(o.lr_base), modx::loss::cross_entropy{}, texts, run.rows().base,
                   run.validation(run.rows().val), q.label, red::whole, fit);
  const modx::dataset<B> h{modx::map_rows(base, texts, spec.width,
                                          [](const auto& net, auto x) { return net.template forward_between<0, 1>(x); }),
                           q.label, q.domain};
  modx::named_values<float> head;
  for (const auto* p : base.parameters())
    if (p->name().starts_with("1.")) head.emplace_back(p->name().substr(2), p->host());
  std::size_t encoder = loaded->model.parameter_count();
  if (!spec.tied) encoder -= spec.vocabulary * spec.width;  // its own head is not in use
  auto out = run.run(h, head, encoder);
  if (loaded->answers) out["backbone_acc"] = *loaded->answers;
  out["overlap"] = {{"val", q.overlap.val}, {"test", q.overlap.test}};
  if (!o.published())
    out["checks"].push_back({{"name", "no question of validation or test is in training"}, {"ok", q.overlap.val == 0 && q.overlap.test == 0},
                             {"detail", std::to_string(cache.distinct()) + " distinct questions"}});
  out["checks"].push_back(check_features(base, texts, h));
  run.stages().finish();
  return out;
}

}  // namespace red_arithmetic
