// All seeds of a run.  Each kind of heads is instantiated in a file of its own: they compile side by side.
#pragma once
#include "../red/run.hpp"
#include "seed_run.hpp"

namespace red_arithmetic {

/// All seeds, with heads and experts of one kind.
template <modx::Backend B, class P>
int run_with(B& backend, const options& o, const red::task& task, const P& parts, backbone<B>* loaded,
             std::chrono::steady_clock::time_point start, modx::io::progress& bar) {
  std::vector<question_set> sets;
  red::run_facts facts{to_json(o), red::json::object(), splits_meta(o), {}};
  if (loaded) facts.options["backbone_weights"] = loaded->weights;  // a resumed run wants the same
  for (std::size_t i = 0; i < o.seeds; ++i) {
    sets.push_back(make_questions(o, task, o.seed + i));
    facts.rows.push_back(sets.back().rows);
  }
  return red::run_seeds(backend, task, o, facts, bar, start,
                        [&](std::size_t i, std::uint64_t seed, const auto& folder, const auto& log) {
                          red::seed_run one(backend, o, task, parts, sets[i].rows, seed, folder, bar, log);
                          return run_seed(backend, o, parts, sets[i], folder, bar, loaded, one);
                        });
}


/// Heads and experts of one layer, and of two.
int run_linear(modx::cpu& backend, const options& o, const red::task& task, backbone<modx::cpu>* loaded,
               std::chrono::steady_clock::time_point start, modx::io::progress& bar);
int run_mlp(modx::cpu& backend, const options& o, const red::task& task, std::size_t width, backbone<modx::cpu>* loaded,
            std::chrono::steady_clock::time_point start, modx::io::progress& bar);

}  // namespace red_arithmetic
