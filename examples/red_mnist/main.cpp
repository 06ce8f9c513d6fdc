// The MNIST modular benchmark: residual expert decomposition against a global head, oracle, uniform and MoE.
#include "../program/run.hpp"
#include "../red/run.hpp"
#include "seed_run.hpp"

#ifdef MODX_CUDA
#include <modx/backend/cuda.hpp>
#endif

namespace red_mnist {

template <modx::Backend B>
int run_on(B& backend, const options& o) {
  if (!std::filesystem::is_directory(o.data_dir))
    throw modx::error("--data-dir " + o.data_dir, "a folder with the four files of MNIST (scripts/demo.sh fetches them)",
                      "no such folder");
  const auto start = std::chrono::steady_clock::now();
  auto bar = red::progress_of(o);
  std::size_t train_count = 0;
  const auto images = load_images(backend, o.data_dir, train_count);
  red::run_facts facts{to_json(o), {{"data_dir", o.data_dir}}, {}, {}};
  for (std::size_t i = 0; i < o.seeds; ++i) {
    facts.rows.push_back(make_splits(images, train_count, o, o.seed + i));
    expect_rows(facts.rows.back(), images.domain, o);
  }
  facts.splits_meta = splits_meta(o, train_count, facts.rows[0].test.size());
  const auto task = about(o.rank);
  return red::run_seeds(backend, task, o, facts, bar, start,
                        [&](std::size_t i, std::uint64_t seed, const auto& folder, const auto& log) {
                          red::seed_run one(backend, o, task, red::parts<>{.experts = domain_count}, facts.rows[i], seed, folder, bar, log);
                          return run_seed(backend, o, images, one);
                        });
}

/// The same program on either backend.
inline int run(const options& o) {
  if (o.device == "cpu") {
    modx::cpu backend(o.seed, o.threads);
    return run_on(backend, o);
  }
#ifdef MODX_CUDA
  modx::cuda backend(o.seed);
  return run_on(backend, o);
#else
  throw modx::error("--device cuda", "a modx built with the CUDA backend", "a build that has none; use --device cpu");
#endif
}

}  // namespace red_mnist

int main(int argc, char** argv) {
  CLI::App app{"The MNIST modular benchmark: five label-pair domains, RED against its baselines.\n"
               "Exit status: 0 done (or stopped by Ctrl-C with everything saved), 1 failed, 2 wrong options.\n",
               "red_mnist"};
  red_mnist::options o;
  declare(app, o);
  if (const auto status = program::parse(app, argc, argv)) return *status;
  o.training_selects = o.optimizer_per_epoch = o.published();
  return program::guarded("red_mnist", "the same command and --resume", [&] { return red_mnist::run(o); });
}
