// The options of red_arithmetic: those of every RED benchmark, the questions, and the backbone under the heads.
#pragma once
#include "../red/options.hpp"

namespace red_arithmetic {

/// The defaults are the fair profile's for addition; settle() puts in what the profile and the task say.
struct options : red::options {
  options() {
    save_dir = "runs/red-arithmetic";
    batch_size = virtual_batch_size = 64;
    max_epochs_base = max_epochs_expert = max_epochs_router = max_epochs_moe = 60;
    lr_expert = 2e-3;
    seeds = 1;
  }
  std::string task = "addition", backbone;
  std::size_t samples = 25'000;
  double test_ratio = 0.1;
  std::string pooling = "task";
  std::size_t width = 64, blocks = 3, trained_blocks = 1;
  std::size_t max_epochs_backbone = 10;
  double lr_backbone = 2e-3;
  bool by_label = false;  // the base subset has a share of each label, not of each domain; the heads are MLPs
};

inline nlohmann::ordered_json to_json(const options& o) {
  auto all = red::to_json(o);
  all.update({{"task", o.task}, {"backbone", o.backbone}, {"samples", o.samples}, {"test_ratio", o.test_ratio},
              {"pooling", o.pooling}, {"width", o.width}, {"blocks", o.blocks}, {"trained_blocks", o.trained_blocks},
              {"max_epochs_backbone", o.max_epochs_backbone}, {"lr_backbone", o.lr_backbone}});
  return all;
}

inline void declare(CLI::App& app, options& o) {
  const program::declarer d(app);
  constexpr auto most = program::declarer::most;
  d.one_of("--task", o.task, "addition: two numbers; mixed: one to three operators; operations: an expert for + and one for -",
           {"addition", "mixed", "operations"});
  d.text("--backbone", o.backbone, "folder of a Qwen3 with its tokenizer; empty: a tiny one, trained on the spot", "DIR");
  d.text("--save-dir", o.save_dir, "folder for checkpoints, metrics and the report", "DIR");
  d.count("--samples", o.samples, "questions, duplicates and all (published: 80000)", 1, std::uint64_t(1) << 26);
  d.real("--val-ratio", o.val_ratio, "share of each domain's questions for validation, at most 0.45", 0, 0.45);
  d.real("--test-ratio", o.test_ratio, "share of each domain's questions for the test, at most 0.45", 1e-6, 0.45);
  d.one_of("--pooling", o.pooling, "of a question's tokens: their mean, the last; task: mean for addition, else last", {"task", "mean", "last"});
  d.count("--width", o.width, "tiny: columns of the stream, a multiple of 8", 8, 1 << 12);
  d.count("--blocks", o.blocks, "tiny: transformer blocks", 1, 64);
  d.count("--trained-blocks", o.trained_blocks, "last blocks that the base stage trains (published mixed, operations: 3)", 1, 1 << 10);
  d.count("--max-epochs-backbone", o.max_epochs_backbone, "tiny: epochs of next-token training on the training questions", 1, most);
  d.real("--lr-backbone", o.lr_backbone, "tiny: learning rate of that", 0, 1e6, true);
  red::declare(app, o);
}

/// What was not given is as the profile and the task say; a sentence where options contradict each other.
inline std::string settle(const CLI::App& app, options& o) {
  const auto unless_given = [&](const char* name, auto& value, auto wanted) {
    if (app.get_option(name)->count() == 0) value = wanted;
  };
  const bool addition = o.task == "addition";
  o.by_label = !addition;
  o.training_selects = o.published() && addition;  // the mixed scripts select on validation
  o.optimizer_per_epoch = o.published();
  if (o.pooling == "task") o.pooling = addition ? "mean" : "last";
  if (o.published()) {
    unless_given("--samples", o.samples, std::size_t(80'000));
    unless_given("--batch-size", o.batch_size, std::size_t(16));
    unless_given("--virtual-batch-size", o.virtual_batch_size, std::size_t(64));
    unless_given("--lr-base", o.lr_base, addition ? 5e-5 : 1e-4);
    unless_given("--lr-expert", o.lr_expert, 5e-4);
    unless_given("--lr-router", o.lr_router, 5e-4);
    unless_given("--lr-moe", o.lr_moe, 5e-4);
    unless_given("--weight-decay", o.weight_decay, addition ? 0.0 : 0.01);
    unless_given("--max-epochs-base", o.max_epochs_base, std::size_t(addition ? 10 : 40));
    unless_given("--max-epochs-expert", o.max_epochs_expert, std::size_t(60));
    unless_given("--max-epochs-router", o.max_epochs_router, std::size_t(addition ? 60 : 8));
    unless_given("--max-epochs-moe", o.max_epochs_moe, std::size_t(addition ? 1 : 3));
    if (!addition) {
      unless_given("--trained-blocks", o.trained_blocks, std::size_t(3));
      o.clip_norm = 1;
    }
  }
  if (o.backbone.empty() && o.width % 8) return "--width must be a multiple of 8";
  if (o.backbone.empty() && o.trained_blocks > o.blocks) return "--trained-blocks must be at most --blocks";
  return {};
}

}  // namespace red_arithmetic
