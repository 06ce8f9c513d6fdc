// The options that every benchmark of residual expert decomposition has, and their JSON form.
#pragma once
#include <nlohmann/json.hpp>

#include "../program/options.hpp"

namespace red {

struct options {
  std::string run = "all", device = "cpu", profile = "fair", save_dir, evaluate;
  std::size_t batch_size = 128, virtual_batch_size = 128;
  std::size_t max_epochs_base = 2, max_epochs_expert = 30, max_epochs_router = 30, max_epochs_moe = 30;
  double lr_base = 1e-3, lr_expert = 3e-3, lr_router = 1e-3, lr_moe = 1e-3, weight_decay = 1e-4;
  std::size_t patience = 3;
  double val_ratio = 0.1, base_ratio = 0.1;
  double balance = 0.01;
  std::uint64_t seed = 42;
  std::size_t seeds = 3;
  int threads = 0;
  double checkpoint_seconds = 5;
  bool resume = false, quiet = false;
  // What a profile decides, and no option of its own.
  bool training_selects = false, optimizer_per_epoch = false;
  double clip_norm = 0;

  bool published() const { return profile == "published"; }
  bool runs_red() const { return run != "moe"; }
  bool runs_moe() const { return run != "red"; }
};

/// What decides the results; a run can only be resumed with the same.
inline nlohmann::ordered_json to_json(const options& o) {
  return {{"run", o.run}, {"device", o.device}, {"profile", o.profile}, {"batch_size", o.batch_size},
          {"virtual_batch_size", o.virtual_batch_size}, {"max_epochs_base", o.max_epochs_base},
          {"max_epochs_expert", o.max_epochs_expert}, {"max_epochs_router", o.max_epochs_router},
          {"max_epochs_moe", o.max_epochs_moe}, {"lr_base", o.lr_base}, {"lr_expert", o.lr_expert},
          {"lr_router", o.lr_router}, {"lr_moe", o.lr_moe}, {"weight_decay", o.weight_decay},
          {"patience", o.patience}, {"val_ratio", o.val_ratio}, {"base_ratio", o.base_ratio},
          {"balance", o.balance}, {"seed", o.seed}, {"seeds", o.seeds}};
}

/// Declares all of them but --save-dir, which stands with the program's own folders.
inline void declare(CLI::App& app, options& o) {
  const program::declarer d(app);
  constexpr auto most = program::declarer::most;
  d.one_of("--run", o.run, "what to run", {"red", "moe", "all"});
  d.one_of("--profile", o.profile, "fair: validation selects, every baseline; published: the authors' protocol", {"fair", "published"});
  d.one_of("--device", o.device, "where to compute", {"cpu", "cuda"});
  d.count("--batch-size", o.batch_size, "samples a batch", 1, most);
  d.count("--virtual-batch-size", o.virtual_batch_size, "samples an update: gradients accumulate over whole batches", 1, most);
  d.count("--max-epochs-base", o.max_epochs_base, "epochs of encoder and base head", 1, most);
  d.count("--max-epochs-expert", o.max_epochs_expert, "epochs of each expert, at most", 1, most);
  d.count("--max-epochs-router", o.max_epochs_router, "epochs of the router, at most", 1, most);
  d.count("--max-epochs-moe", o.max_epochs_moe, "epochs of the mixtures of experts and controls, at most", 1, most);
  d.real("--lr-base", o.lr_base, "learning rate of encoder and base head", 0, 1e6, true);
  d.real("--lr-expert", o.lr_expert, "learning rate of the experts", 0, 1e6, true);
  d.real("--lr-router", o.lr_router, "learning rate of the router", 0, 1e6, true);
  d.real("--lr-moe", o.lr_moe, "learning rate of the mixtures of experts and controls", 0, 1e6, true);
  d.real("--weight-decay", o.weight_decay, "AdamW's weight decay", 0, 1e6);
  d.count("--patience", o.patience, "epochs without improvement before a stage stops; 0: never", 0, most);
  d.real("--base-ratio", o.base_ratio, "share of each label's training data for the base stage, 0 to 1", 0, 1);
  d.real("--balance", o.balance, "weight of moe_joint's load-balance loss (fair)", 0, 1e6);
  d.count("--seed", o.seed, "first seed", 0, std::uint64_t(1) << 62);
  d.count("--seeds", o.seeds, "number of seeds: seed, seed + 1, ...; figures are mean ± sd", 1, 1000);
  d.count("--threads", o.threads, "threads; 0: one a core; results do not depend on it", 0, 1024);
  d.real("--checkpoint-seconds", o.checkpoint_seconds, "least time between checkpoints inside a stage; 0: every epoch", 0, 1e9);
  d.text("--evaluate", o.evaluate, "no training: stages are read from the run in DIR, of the same options, say shrunk ones (modx_checkpoint)",
         "DIR");
  app.add_flag("--resume", o.resume, "go on with the run in --save-dir");
  app.add_flag("--quiet", o.quiet, "no progress; the results table only");
  program::declare_config(app);
}

}  // namespace red
