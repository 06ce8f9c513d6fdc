// The options of red_mnist: those of every RED benchmark, where the images are, and the encoder's width.
#pragma once
#include "../red/options.hpp"

namespace red_mnist {

struct options : red::options {
  options() { save_dir = "runs/red-mnist"; }
  std::string data_dir = "data/mnist";
  std::size_t hidden_dim = 128, rank = 5;
};

inline nlohmann::ordered_json to_json(const options& o) {
  auto all = red::to_json(o);
  all["hidden_dim"] = o.hidden_dim, all["rank"] = o.rank;
  return all;
}

inline void declare(CLI::App& app, options& o) {
  const program::declarer d(app);
  d.text("--data-dir", o.data_dir, "folder with four IDX files in MNIST's layout, raw or .gz", "DIR");
  d.text("--save-dir", o.save_dir, "folder for checkpoints, metrics and the report", "DIR");
  d.real("--val-ratio", o.val_ratio, "share of each domain's training data for validation, at most 0.9", 0, 0.9);
  d.count("--hidden-dim", o.hidden_dim, "width of the encoder's output", 1, 1 << 16);
  d.count("--rank", o.rank, "rank of red_hidden's experts (fair)", 1, 1 << 16);
  red::declare(app, o);
}

}  // namespace red_mnist
