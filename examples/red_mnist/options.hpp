// The options of red_mnist: defaults, command line, config file, and their JSON form.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>
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
  return {{"run", o.run}, {"device", o.device}, {"profile", o.profile}, {"batch_size", o.batch_size},
          {"virtual_batch_size", o.virtual_batch_size}, {"max_epochs_base", o.max_epochs_base},
          {"max_epochs_expert", o.max_epochs_expert}, {"max_epochs_router", o.max_epochs_router},
          {"max_epochs_moe", o.max_epochs_moe}, {"lr_base", o.lr_base}, {"lr_expert", o.lr_expert},
          {"lr_router", o.lr_router}, {"lr_moe", o.lr_moe}, {"weight_decay", o.weight_decay},
          {"patience", o.patience}, {"val_ratio", o.val_ratio}, {"base_ratio", o.base_ratio},
          {"hidden_dim", o.hidden_dim}, {"rank", o.rank}, {"balance", o.balance}, {"seed", o.seed},
          {"seeds", o.seeds}};
}

/// Config files may spell keys with underscores, like the command line; a list is no value.
class hyphenated_toml : public CLI::ConfigTOML {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    auto found = CLI::ConfigTOML::from_config(in);
    for (auto& item : found) {
      std::replace(item.name.begin(), item.name.end(), '_', '-');
      if (item.inputs.size() > 1) throw CLI::ArgumentMismatch("--" + item.name, 1, item.inputs.size());
    }
    return found;
  }
};

/// Whole numbers in digits only, `least` to `most` (CLI11 wraps "-1" round), and finite numbers (it takes nan for any).
inline CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
  return CLI::Validator(
      [=](const std::string& text) {
        std::uint64_t n = 0;
        const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
        const bool ok = code == std::errc() && end == text.data() + text.size() && n >= least && n <= most;
        return ok ? "" : "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most) +
                             ", found " + text;
      },
      "");
}
inline CLI::Validator number(double least, double most, bool open = false) {
  return CLI::Validator(
      [=](const std::string& text) {
        double x = 0;
        const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), x);
        const bool ok = code == std::errc() && end == text.data() + text.size() && (open ? x > least : x >= least) && x <= most;
        if (ok) return std::string();
        std::ostringstream message;
        message << "expected a number " << (open ? "above " : "from ") << least << " to " << most << ", found " << text;
        return message.str();
      },
      "");
}

inline void declare(CLI::App& app, options& o) {
  app.option_defaults()->always_capture_default();
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  const auto count = [&](const char* name, auto& value, const char* what, std::uint64_t least, std::uint64_t most) {
    app.add_option(name, value, what)->check(whole_number(least, most))->type_name("N");
  };
  const auto real = [&](const char* name, double& value, const char* what, double least, double most, bool open = false) {
    app.add_option(name, value, what)->check(number(least, most, open))->type_name("X");
  };
  const auto text = [&](const char* name, std::string& value, const char* what, const char* type) {
    return app.add_option(name, value, what)->type_name(type);
  };
  constexpr std::uint64_t most = std::uint64_t(1) << 31;
  text("--run", o.run, "what to run", "red|moe|all")->check(CLI::IsMember({"red", "moe", "all"}).description(""));
  text("--profile", o.profile, "fair: validation selects, every baseline; published: the authors' protocol", "fair|published")
      ->check(CLI::IsMember({"fair", "published"}).description(""));
  text("--device", o.device, "where to compute", "cpu|cuda")->check(CLI::IsMember({"cpu", "cuda"}).description(""));
  text("--data-dir", o.data_dir, "folder with four IDX files in MNIST's layout, raw or .gz", "DIR");
  text("--save-dir", o.save_dir, "folder for checkpoints, metrics and the report", "DIR");
  count("--batch-size", o.batch_size, "samples a batch", 1, most);
  count("--virtual-batch-size", o.virtual_batch_size, "samples an update: gradients accumulate over whole batches", 1, most);
  count("--max-epochs-base", o.max_epochs_base, "epochs of encoder and base head", 1, most);
  count("--max-epochs-expert", o.max_epochs_expert, "epochs of each expert, at most", 1, most);
  count("--max-epochs-router", o.max_epochs_router, "epochs of the router, at most", 1, most);
  count("--max-epochs-moe", o.max_epochs_moe, "epochs of the mixtures of experts and controls, at most", 1, most);
  real("--lr-base", o.lr_base, "learning rate of encoder and base head", 0, 1e6, true);
  real("--lr-expert", o.lr_expert, "learning rate of the experts", 0, 1e6, true);
  real("--lr-router", o.lr_router, "learning rate of the router", 0, 1e6, true);
  real("--lr-moe", o.lr_moe, "learning rate of the mixtures of experts and controls", 0, 1e6, true);
  real("--weight-decay", o.weight_decay, "AdamW's weight decay", 0, 1e6);
  count("--patience", o.patience, "epochs without improvement before a stage stops; 0: never", 0, most);
  real("--val-ratio", o.val_ratio, "share of each domain's training data for validation, at most 0.9", 0, 0.9);
  real("--base-ratio", o.base_ratio, "share of each label's training data for the base stage, 0 to 1", 0, 1);
  count("--hidden-dim", o.hidden_dim, "width of the encoder's output", 1, 1 << 16);
  count("--rank", o.rank, "rank of red_hidden's experts (fair)", 1, 1 << 16);
  real("--balance", o.balance, "weight of moe_joint's load-balance loss (fair)", 0, 1e6);
  count("--seed", o.seed, "first seed", 0, std::uint64_t(1) << 62);
  count("--seeds", o.seeds, "number of seeds: seed, seed + 1, ...; figures are mean ± sd", 1, 1000);
  count("--threads", o.threads, "threads; 0: one a core; results do not depend on it", 0, 1024);
  real("--checkpoint-seconds", o.checkpoint_seconds, "least time between checkpoints inside a stage; 0: every epoch", 0, 1e9);
  app.add_flag("--resume", o.resume, "go on with the run in --save-dir");
  app.add_flag("--quiet", o.quiet, "no progress; the results table only");
  app.config_formatter(std::make_shared<hyphenated_toml>());
  app.set_config("--config", "", "TOML file with any of these options; the command line wins")
      ->type_name("FILE")
      ->check(CLI::Validator(CLI::ExistingFile).description(""));
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
