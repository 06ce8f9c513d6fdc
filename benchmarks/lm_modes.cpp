// Training steps of moe_lm: tokens/s of each mode, what the couplings cost, and eight whole-block experts beside one
// block of their size.  Pairs take turns, and the fastest of each are compared.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <moe_lm/size.hpp>

namespace {

/// The fastest of what took turns: processor time of one thread, or wall-clock time of several.
class times {
  bool alone_;
  double best_ = 1e30;

  double now() const {
    if (alone_) return double(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

 public:
  explicit times(int threads) : alone_(threads == 1) {}
  template <class F>
  void add(F&& f) {
    const double start = now();
    f();
    best_ = std::min(best_, now() - start);
  }
  double best() const { return best_; }
};

/// A model of `o` on sequences of --length tokens that fill --batch-tokens.
class language {
  modx::cpu backend_;
  modx::model<moe_lm::language_model, modx::cpu> model_;
  modx::matrix<float> x_;
  std::vector<std::int32_t> next_;
  std::vector<std::size_t> lengths_;
  modx::optimizer::adamw adamw_{};

 public:
  language(const moe_lm::options& o, int threads)
      : backend_(1, threads),
        model_(modx::build(backend_, moe_lm::model_of(o, 256), {1, 256})),
        x_(o.batch_tokens, 1),
        next_(o.batch_tokens),
        lengths_(o.batch_tokens / o.length, o.length) {
    for (std::size_t i = 0; i < x_.rows; ++i) {
      x_.data[i] = float((i * 2654435761u >> 7) % 256);
      next_[i] = std::int32_t((i * 40503u + 11) % 256);
    }
    for (auto* p : model_.states())  // ghosts are awake
      if (p->name().ends_with("levels")) p->set(std::vector<float>(p->size(), 1.f));
    step(), step();
  }
  void step() {
    benchmark::DoNotOptimize(modx::train_step(model_, adamw_, modx::loss::cross_entropy{}, x_, next_, {.sequences = lengths_}));
  }
  std::size_t tokens() const { return x_.rows; }
  double products() const { return moe_lm::products_of(model_.spec()); }
};

/// The defaults, in which every mode has as many parameters as hgnn; or MLPs of the same width in all.
moe_lm::options options_of(const std::string& mode, const char* match = "parameters") {
  moe_lm::options o;
  o.mode = mode, o.match = match;
  return o;
}

void step(benchmark::State& state, const std::string& mode) {
  language one(options_of(mode), int(state.range(0)));
  for (auto _ : state) one.step();
  state.SetItemsProcessed(state.iterations() * std::int64_t(one.tokens()));
}

/// cost: the coupling's part of a step's time; of_products: its part of the multiply-adds.
void coupling(benchmark::State& state, const std::string& mode) {
  const int threads = int(state.range(0));
  language with(options_of(mode, "nothing"), threads), without(options_of("uncoupled", "nothing"), threads);
  times coupled(threads), plain(threads);
  for (auto _ : state) coupled.add([&] { with.step(); }), plain.add([&] { without.step(); });
  state.counters["cost"] = 1 - plain.best() / coupled.best();
  state.counters["of_products"] = 1 - without.products() / with.products();
}

/// Forward and backward pass of one block, or of all experts of a layer, for 8 sequences of 128 tokens.
template <class Bound>
class block {
  modx::cpu backend_;
  modx::parameter_list<modx::cpu> list_;
  Bound bound_;
  modx::tape<modx::cpu> tape_{backend_};
  modx::matrix<float> x_;

  template <class... A>
  static Bound make(modx::cpu& b, modx::parameter_list<modx::cpu>& list, const A&... a) {
    modx::builder<modx::cpu> root(b, list, 1);
    return Bound(root, a...);
  }

 public:
  template <class S, class... A>
  block(int threads, std::size_t width, const S& spec, const A&... a)
      : backend_(1, threads), bound_(make(backend_, list_, spec, modx::shape{width, width}, a...)), x_(backend_.normal(1024, width)) {
    run(), run();
  }
  void run() {
    for (auto& p : list_) p->mutable_value(), p->gradient_is_fresh = true;  // as after an update
    tape_.reset();
    const std::vector<std::size_t> lengths(8, 128);
    tape_.context.sequence = tape_.sequences_of(lengths);
    const auto x = tape_.input(x_.data, x_.rows, x_.cols, true);
    if constexpr (requires { bound_.forward(x); }) {
      tape_.backward(modx::ops::sum(bound_.forward(x)));
    } else {
      tape_.backward(modx::ops::sum(bound_.forward({x, nullptr})));
    }
  }
};

/// experts, dense: GFLOP/s; ratio: the experts' rate over that of the block.
void experts_and_block(benchmark::State& state) {
  using modx::expert::transformer_block;
  const int threads = int(state.range(0));
  constexpr std::size_t width = 256, wide = 720;  // 8 x 12 x 256^2 and 12 x 720^2: as many weights but for 1 %
  block<transformer_block::bank<modx::cpu>> experts(threads, width, transformer_block{.heads = 4}, std::size_t(8));
  block<transformer_block::bound<modx::cpu>> dense(threads, wide, transformer_block{.heads = 8});
  times many(threads), one(threads);
  for (auto _ : state) many.add([&] { experts.run(); }), one.add([&] { dense.run(); });
  const auto rate = [](std::size_t count, std::size_t d, double seconds) {  // products and attention to 64 tokens on average
    return 3 * 2 * 1024 * double(count) * (12 * double(d * d) + 128 * double(d)) / seconds / 1e9;
  };
  const double a = rate(8, width, many.best()), b = rate(1, wide, one.best());
  state.counters["experts"] = a, state.counters["dense"] = b, state.counters["ratio"] = a / b;
}

#define MODX_THREADS ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->MeasureProcessCPUTime()
BENCHMARK_CAPTURE(step, gnn, "gnn")->MODX_THREADS;
BENCHMARK_CAPTURE(step, hgnn, "hgnn")->MODX_THREADS;
BENCHMARK_CAPTURE(step, ghost, "ghost")->MODX_THREADS;
BENCHMARK_CAPTURE(step, uncoupled, "uncoupled")->MODX_THREADS;
BENCHMARK_CAPTURE(step, dense, "dense")->MODX_THREADS;
BENCHMARK_CAPTURE(step, topk, "topk")->MODX_THREADS;
BENCHMARK_CAPTURE(coupling, gnn, "gnn")->MODX_THREADS;
BENCHMARK_CAPTURE(coupling, hgnn, "hgnn")->MODX_THREADS;
BENCHMARK(experts_and_block)->MODX_THREADS;

}  // namespace

BENCHMARK_MAIN();
