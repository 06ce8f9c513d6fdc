// The options of moe_lm: one list of fields makes the command line, the help and the JSON of a run.
#pragma once
#include "../program/fields.hpp"

namespace moe_lm {

using json = nlohmann::ordered_json;

struct options {
  std::string mode = "gnn", match = "parameters";
  std::size_t width = 64, heads = 4, layers = 2, experts = 4, hidden = 0, length = 128;
  std::size_t coupling_layers = 2, top_k = 2;
  std::string hyperedges = "pairs";
  double balance = 0.01, orthogonality = 0.1;
  std::size_t orthogonality_warmup = 100, adapt_every = 50;
  std::size_t ghosts = 2, ghost_window = 50, ghost_ramp = 50;
  std::size_t ghost_start = 0;
  double ghost_on = 0.3, ghost_off = 0.03;
  std::string ghost_wake = "gradual", ghost_rate = "same";
  std::string task = "generated", data_dir = "data/text";
  std::string train_file, valid_file, column = "text", tokenizer;
  std::size_t texts = 6000, valid_texts = 150, valid_tokens = 0, appear = 0;
  std::size_t batch_tokens = 1024, accumulation = 1, steps = 400, eval_every = 100, save_every = 100;
  double lr = 3e-3, lr_end = 0.1, clip = 1, weight_decay = 0.01;
  std::size_t warmup = 40;
  std::uint64_t seed = 42;
  std::string save_dir = "runs/moe-lm";
  int threads = 0;
  bool resume = false, quiet = false;

  bool block_experts() const { return mode != "dense" && mode != "topk"; }
  bool has_ghosts() const { return mode == "ghost"; }
  bool generated() const { return train_file.empty() && task == "generated"; }
  /// Ghosts learn under the loss too, as in the published modes.
  bool is_orthogonal() const { return mode == "orthogonal" || mode == "ghost"; }
};

/// What decides the results: f(name, value, help, limits...), limits for numbers, choices for words.
template <class O, class F>
void each_field(O& o, F&& f) {
  using words = std::vector<std::string>;
  constexpr double huge = 1e6;
  constexpr std::size_t most = 1u << 31;
  f("mode", o.mode, "what the layers are",
    words{"gnn", "hgnn", "orthogonal", "ghost", "uncoupled", "dense", "topk"});
  f("match", o.match, "without --hidden: MLPs as wide as makes a mode equal to hgnn in this",
    words{"parameters", "compute", "nothing"});
  f("width", o.width, "columns of the stream", 1, 1 << 16);
  f("heads", o.heads, "heads of each attention; must divide --width", 1, 1 << 10);
  f("layers", o.layers, "layers", 1, 1 << 10);
  f("experts", o.experts, "experts a layer", 1, 1 << 10);
  f("hidden", o.hidden, "hidden columns of each MLP; 0: 4 x width in hgnn, in other modes as --match says", 0,
    1 << 20);
  f("length", o.length, "longest sequence in tokens; texts are cut, never padded", 1, 1 << 20);
  f("coupling-layers", o.coupling_layers, "layers of a coupling", 1, 1 << 10);
  f("hyperedges", o.hyperedges, "hgnn, orthogonal, ghost: groups of experts",
    words{"pairs", "triplets", "all"});
  f("top-k", o.top_k, "topk: experts a token", 1, 1 << 10);
  f("balance", o.balance, "topk: weight of the load-balance loss", 0, huge);
  f("orthogonality", o.orthogonality, "orthogonal, ghost: strength at first; 0: none", 0, huge);
  f("orthogonality-warmup", o.orthogonality_warmup, "steps until that strength is reached", 0, most);
  f("adapt-every", o.adapt_every, "steps between adaptations of the strength", 1, most);
  f("ghosts", o.ghosts, "ghost: dormant experts a layer, beside --experts", 1, 1 << 10);
  f("ghost-start", o.ghost_start, "steps before saturation is looked at: at first all is still to be learnt",
    0, most);
  f("ghost-on", o.ghost_on, "mean saturation above which the next ghost wakes", 0, huge);
  f("ghost-off", o.ghost_off, "mean saturation below which the last one goes to sleep", 0, huge);
  f("ghost-window", o.ghost_window, "steps that saturation is averaged over", 1, 1 << 20);
  f("ghost-ramp", o.ghost_ramp, "steps from asleep to awake", 1, 1 << 20);
  f("ghost-wake", o.ghost_wake, "how ghosts wake", words{"gradual", "binary", "selective"});
  f("ghost-rate", o.ghost_rate, "learning rate of awake ghosts, times their level",
    words{"same", "inverse", "complementary"});
  f("task", o.task, "the texts: three grammars, or files in --data-dir (docs/moe_lm.md says which)",
    words{"generated", "wikitext2", "shakespeare"});
  f("data-dir", o.data_dir, "folder of the files of --task", words{});
  f("train-file", o.train_file,
    "instead of --task: UTF-8 text, JSONL (*.jsonl: a text a line) or CSV (*.csv: a text a record)", words{});
  f("valid-file", o.valid_file, "validation text, the same way", words{});
  f("column", o.column, "JSONL, CSV: the field that holds the text; CSV without names: its number", words{});
  f("tokenizer", o.tokenizer, "tokenizer.json (byte-level BPE); empty: bytes", words{});
  f("texts", o.texts, "generated corpus: training texts", 3, 1 << 26);
  f("valid-texts", o.valid_texts, "generated corpus: validation texts", 3, 1 << 26);
  f("valid-tokens", o.valid_tokens, "tokens that validation uses, from the start; 0: all", 0, most);
  f("appear", o.appear, "generated corpus: code is not in the training data before this step", 0, most);
  f("batch-tokens", o.batch_tokens, "tokens a batch, at most; whole sequences", 1, 1 << 24);
  f("accumulation", o.accumulation, "batches a step", 1, 1 << 20);
  f("steps", o.steps, "training steps", 1, 999'999'999);
  f("eval-every", o.eval_every, "steps between evaluations", 1, most);
  f("save-every", o.save_every, "steps between checkpoints", 1, most);
  f("lr", o.lr, "learning rate after warm-up", 1e-12, huge);
  f("lr-end", o.lr_end, "part of it that is left at the end", 0, 1);
  f("warmup", o.warmup, "steps of linear warm-up; a cosine follows", 0, most);
  f("clip", o.clip, "norm that gradients are clipped to; 0: never", 0, huge);
  f("weight-decay", o.weight_decay, "AdamW's weight decay, on all parameters", 0, huge);
  f("seed", o.seed, "seed of data, start and order", 0, std::uint64_t(1) << 62);
}

inline json to_json(const options& o) {
  return program::fields_json([&](auto&& f) { each_field(o, f); });
}

inline void declare(CLI::App& app, options& o) {
  program::declare_fields(app, [&](auto&& f) { each_field(o, f); });
  program::declare_run(app, o);
}

/// What the options say together; a sentence, or nothing.
inline std::string contradiction(const options& o) {
  if (o.width % o.heads)
    return "--heads " + std::to_string(o.heads) + " does not divide --width " + std::to_string(o.width);
  if (o.train_file.empty() != o.valid_file.empty()) return "--train-file and --valid-file go together";
  if (!o.train_file.empty() && o.task != "generated") return "--task and --train-file exclude each other";
  if (o.appear && !o.generated()) return "--appear needs --task generated";
  if (o.has_ghosts() && !(o.ghost_off < o.ghost_on)) return "--ghost-off must be below --ghost-on";
  if (o.mode == "topk" && o.top_k > o.experts) return "--top-k must be at most --experts";
  if (o.warmup >= o.steps) return "--warmup must be below --steps";
  if (o.batch_tokens < o.length) return "--batch-tokens must be at least --length";
  return {};
}

/// Takes the options of the run that goes on; one that was given again must say the same.
inline void adopt(options& o, const CLI::App& app, const json& was, const std::string& where) {
  program::adopt_fields(app, was, where, "--resume", [&](auto&& f) { each_field(o, f); });
  if (const auto wrong = contradiction(o); !wrong.empty())
    throw modx::error(where, "options that go together", wrong);
}

}  // namespace moe_lm
