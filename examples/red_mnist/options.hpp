// The options of red_mnist: defaults, command line, config file, and their JSON form.
#pragma once
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace red_mnist {

struct options {
  std::string run = "all", device = "cpu", profile = "fair";
  std::string data_dir = "data/mnist", save_dir = "runs/red-mnist";
  std::size_t batch_size = 128, virtual_batch_size = 128;
  std::size_t max_epochs_base = 2, max_epochs_expert = 30, max_epochs_router = 30, max_epochs_moe = 30;
  double lr_base = 1e-3, lr_expert = 3e-3, lr_router = 1e-3, lr_moe = 1e-3, weight_decay = 1e-4;
  std::size_t patience = 3;
  double val_ratio = 0.1, base_ratio = 0.1;
  std::size_t hidden_dim = 128, rank = 5;
  double balance = 0.01;
  std::uint64_t seed = 42;
  std::size_t seeds = 3;
  int threads = 0;
  double checkpoint_seconds = 5;
  bool resume = false, quiet = false;

  bool published() const { return profile == "published"; }
  bool runs_red() const { return run != "moe"; }
  bool runs_moe() const { return run != "red"; }
};

/// What decides the results; a run can only be resumed with the same.
inline nlohmann::ordered_json to_json(const options& o) {
  return {{"run", o.run}, {"profile", o.profile}, {"batch_size", o.batch_size},
          {"virtual_batch_size", o.virtual_batch_size}, {"max_epochs_base", o.max_epochs_base},
          {"max_epochs_expert", o.max_epochs_expert}, {"max_epochs_router", o.max_epochs_router},
          {"max_epochs_moe", o.max_epochs_moe}, {"lr_base", o.lr_base}, {"lr_expert", o.lr_expert},
          {"lr_router", o.lr_router}, {"lr_moe", o.lr_moe}, {"weight_decay", o.weight_decay},
          {"patience", o.patience}, {"val_ratio", o.val_ratio}, {"base_ratio", o.base_ratio},
          {"hidden_dim", o.hidden_dim}, {"rank", o.rank}, {"balance", o.balance}, {"seed", o.seed},
          {"seeds", o.seeds}};
}

/// Config files may spell keys with underscores, like the command line.
class hyphenated_toml : public CLI::ConfigTOML {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    auto found = CLI::ConfigTOML::from_config(in);
    for (auto& item : found)
      for (char& c : item.name)
        if (c == '_') c = '-';
    return found;
  }
};

inline void declare(CLI::App& app, options& o) {
  const auto positive = CLI::Range(std::size_t(1), std::size_t(1) << 31);
  const auto ratio = CLI::Range(0.0, 0.9);
  app.option_defaults()->always_capture_default();
  app.add_option("--run", o.run, "what to run")->check(CLI::IsMember({"red", "moe", "all"}));
  app.add_option("--profile", o.profile,
                 "fair: validation selects, every baseline; published: the authors' protocol")
      ->check(CLI::IsMember({"fair", "published"}));
  app.add_option("--device", o.device, "where to compute")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--data-dir", o.data_dir, "folder with four IDX files in MNIST's layout, raw or .gz");
  app.add_option("--save-dir", o.save_dir, "folder for checkpoints, metrics and the report");
  app.add_option("--batch-size", o.batch_size, "samples a batch")->check(positive);
  app.add_option("--virtual-batch-size", o.virtual_batch_size, "samples an update (gradients accumulate)")->check(positive);
  app.add_option("--max-epochs-base", o.max_epochs_base, "epochs of encoder and base head")->check(positive);
  app.add_option("--max-epochs-expert", o.max_epochs_expert, "epochs of each expert, at most")->check(positive);
  app.add_option("--max-epochs-router", o.max_epochs_router, "epochs of the router, at most")->check(positive);
  app.add_option("--max-epochs-moe", o.max_epochs_moe, "epochs of the mixtures of experts and controls, at most")->check(positive);
  app.add_option("--lr-base", o.lr_base, "learning rate of encoder and base head")->check(CLI::PositiveNumber);
  app.add_option("--lr-expert", o.lr_expert, "learning rate of the experts")->check(CLI::PositiveNumber);
  app.add_option("--lr-router", o.lr_router, "learning rate of the router")->check(CLI::PositiveNumber);
  app.add_option("--lr-moe", o.lr_moe, "learning rate of the mixtures of experts and controls")->check(CLI::PositiveNumber);
  app.add_option("--weight-decay", o.weight_decay, "AdamW's weight decay")->check(CLI::NonNegativeNumber);
  app.add_option("--patience", o.patience, "epochs without improvement before a stage stops; 0: never");
  app.add_option("--val-ratio", o.val_ratio, "share of each domain's training data for validation")->check(ratio);
  app.add_option("--base-ratio", o.base_ratio, "share of each label's training data for the base stage")->check(CLI::Range(0.0, 1.0));
  app.add_option("--hidden-dim", o.hidden_dim, "width of the encoder's output")->check(positive);
  app.add_option("--rank", o.rank, "rank of red_hidden's experts (fair)")->check(positive);
  app.add_option("--balance", o.balance, "weight of moe_joint's load-balance loss (fair)")->check(CLI::NonNegativeNumber);
  app.add_option("--seed", o.seed, "first seed");
  app.add_option("--seeds", o.seeds, "number of seeds: seed, seed + 1, ...; figures are mean ± sd")
      ->check(CLI::Range(std::size_t(1), std::size_t(1000)));
  app.add_option("--threads", o.threads, "threads; 0: one a core; results do not depend on it")->check(CLI::Range(0, 1024));
  app.add_option("--checkpoint-seconds", o.checkpoint_seconds, "least time between checkpoints inside a stage; 0: every epoch")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--resume", o.resume, "go on with the run in --save-dir");
  app.add_flag("--quiet", o.quiet, "no progress; the results table only");
  app.config_formatter(std::make_shared<hyphenated_toml>());
  app.set_config("--config", "", "TOML file with any of these options");
  app.allow_config_extras(false);
}

/// "--batch_size" is "--batch-size".
inline std::vector<std::string> hyphenated(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  for (auto& a : args) {
    if (!a.starts_with("--")) continue;
    for (std::size_t i = 2; i < a.size() && a[i] != '='; ++i)
      if (a[i] == '_') a[i] = '-';
  }
  return args;
}

}  // namespace red_mnist
