// RED on arithmetic in words: a causal language model under range or operation experts, against the same baselines as on MNIST.
#include "../program/run.hpp"
#include "run.hpp"

namespace red_arithmetic {

int run(const options& o) {
  if (o.device != "cpu") throw modx::error("--device " + o.device, "cpu: this program has not been run on a GPU", o.device);
  const auto start = std::chrono::steady_clock::now();
  auto bar = red::progress_of(o);
  modx::cpu backend(o.seed, o.threads);
  std::optional<backbone<modx::cpu>> loaded;
  if (!o.backbone.empty()) loaded.emplace(load_backbone(backend, o.backbone, o.trained_blocks));
  const std::size_t width = loaded ? loaded->model.spec().width : o.width;
  auto task = about(o);
  for (const std::size_t part : {2, 4, 8})
    task.hidden.push_back({"red_hidden_" + std::to_string(part), "hidden_" + std::to_string(part) + "_", std::max<std::size_t>(1, width / part)});
  auto* from = loaded ? &*loaded : nullptr;
  return o.by_label ? run_mlp(backend, o, task, width, from, start, bar) : run_linear(backend, o, task, from, start, bar);
}

}  // namespace red_arithmetic

int main(int argc, char** argv) {
  CLI::App app{"RED on arithmetic in words: range or operation experts on a causal language model, against their baselines.\n"
               "Exit status: 0 done (or stopped by Ctrl-C with everything saved), 1 failed, 2 wrong options.\n",
               "red_arithmetic"};
  red_arithmetic::options o;
  declare(app, o);
  if (const auto status = program::parse(app, argc, argv)) return *status;
  if (const auto wrong = settle(app, o); !wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    return 2;
  }
  return program::guarded("red_arithmetic", "the same command and --resume", [&] { return red_arithmetic::run(o); });
}
