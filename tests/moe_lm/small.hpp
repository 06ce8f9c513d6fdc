// Small runs of moe_lm for the tests.
#pragma once
#include <moe_lm/trainer.hpp>

#include <modx/io/run_folder.hpp>

#include "io/program.hpp"

namespace moe_test {

inline const std::vector<std::string>& modes() {
  static const std::vector<std::string> all{"gnn", "hgnn", "orthogonal", "ghost", "uncoupled", "dense", "topk"};
  return all;
}

/// A model and a corpus of seconds.
inline moe_lm::options small(const std::string& mode) {
  moe_lm::options o;
  o.mode = mode;
  o.width = 16, o.heads = 2, o.layers = 2, o.experts = 3, o.hidden = 24, o.length = 48;
  o.texts = 60, o.valid_texts = 9, o.batch_tokens = 256, o.steps = 40, o.warmup = 4, o.lr = 0.02;
  o.orthogonality_warmup = 3, o.adapt_every = 5, o.eval_every = 5, o.save_every = 5;
  o.ghost_on = 0.2, o.ghost_window = 3, o.ghost_ramp = 3;
  return o;
}
inline modx::test::arguments to_arguments(const moe_lm::options& o, const std::filesystem::path& folder) {
  modx::test::arguments out{"--save-dir", folder.string(), "--threads", "2"};
  const auto defaults = moe_lm::to_json(moe_lm::options{}), own = moe_lm::to_json(o);
  for (const auto& [key, value] : own.items())
    if (value != defaults.at(key)) {
      out.push_back("--" + key);
      out.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
  return out;
}

}  // namespace moe_test
