// What a GPU does: copies and products (its ceilings), a SwiGLU MoE layer, the steps of the MNIST benchmark.  A JSON object
// a line; with --check the layer's outputs and gradients beside the CPU's, at a small shape.
#include <modx/backend/cuda.hpp>
#include <modx/clock.hpp>
#include <modx/modx.hpp>
#include <modx/step_graphs.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

namespace m = modx::module;

/// act(x W_g) * (x W_u) W_d for each expert, gate and up side by side: two grouped products.
struct swiglu_experts {
  std::size_t hidden = 64;
  bool operator==(const swiglu_experts&) const = default;

  template <modx::Backend B>
  class bound : public m::swiglu::bound<B> {
   public:
    bound(modx::builder<B>& b, const swiglu_experts& s, modx::shape io)
        : m::swiglu::bound<B>(b, m::swiglu{.hidden = s.hidden}, io) {}
  };
  template <modx::Backend B>
  class bank {
    std::size_t count_;
    modx::expert::layer<B> up_, down_;

   public:
    bank(modx::builder<B>& b, const swiglu_experts& s, modx::shape io, std::size_t experts)
        : count_(experts), up_(b, experts, "gate_up.weight", "", io.in.size(), 2 * s.hidden),
          down_(b, experts, "down.weight", "", s.hidden, io.out.size()) {}
    std::size_t size() const { return count_; }
    modx::var<B> forward(modx::expert::tokens<B> in) const {
      const auto none = modx::activation::none;
      const auto h = modx::ops::gated(up_.forward(in.x, in.kind(), in.offsets, none), modx::activation::silu,
                                      in.offsets ? 1 : count_);
      return down_.forward(h, in.offsets ? in.kind() : modx::ops::detail::grouping::blocks, in.offsets, none);
    }
    modx::var<B> one(std::size_t i, modx::var<B> x) const {
      const auto none = modx::activation::none;
      return down_.one(i, modx::ops::gated(up_.one(i, x, none), modx::activation::silu), none);
    }
  };
};

struct layer_shape {
  const char* name;
  std::size_t tokens, d, f, e, k;

  auto spec() const {
    return m::mixture{.experts = swiglu_experts{.hidden = f}, .router = modx::router::top_k{.k = k}, .n_experts = e};
  }
  modx::shape io() const { return {d, d}; }
  double flops() const { return 6.0 * double(tokens) * double(k) * double(d) * double(f); }  // forward
};
constexpr layer_shape shapes[] = {{"test", 256, 64, 96, 8, 2},
                                  {"tiny", 4096, 512, 1024, 8, 2},
                                  {"mixtral", 8192, 4096, 14336, 8, 2},
                                  {"olmoe", 32768, 2048, 1024, 64, 8},
                                  {"qwen3", 32768, 2048, 768, 128, 8},
                                  {"dsv3", 32768, 7168, 2048, 32, 1}};

void say(const std::string& item, const char* how, double ms, double least, double most, double flops, double bytes) {
  std::printf("{\"item\": \"%s\", \"who\": \"modx\", \"how\": \"%s\", \"ms\": %.6g, \"least\": %.6g, \"most\": %.6g, "
              "\"flops\": %.6g, \"bytes\": %.6g}\n", item.c_str(), how, ms, least, most, flops, bytes);
  std::fflush(stdout);
}

struct timing {
  std::size_t rounds = 10;
  double least_ms = 20;  // of a round, so that the host's clock is good enough

  /// Median milliseconds of work(), which is asked for many times a round and waited for once.
  template <class B, class F>
  void operator()(B& b, const std::string& item, const char* how, double flops, double bytes, F work) const {
    const auto round = [&](std::size_t n) {
      b.synchronize();
      const double start = modx::monotonic_seconds();
      for (std::size_t i = 0; i < n; ++i) work();
      b.synchronize();
      return (modx::monotonic_seconds() - start) * 1e3;
    };
    round(3);
    std::size_t n = 1;
    while (n < 4096 && round(n) < least_ms) n *= 2;
    std::vector<double> ms;
    for (std::size_t i = 0; i < rounds; ++i) ms.push_back(round(n) / double(n));
    std::sort(ms.begin(), ms.end());
    say(item, how, ms[ms.size() / 2], ms.front(), ms.back(), flops, bytes);
  }
};

modx::device_matrix<modx::cuda> drawn(modx::cuda& b, std::size_t rows, std::size_t cols) {
  return {b, b.normal(rows, cols), cols};
}

/// How products are computed.
enum class precision { full, tf32, bf16 };
const char* use(modx::cuda& b, precision p) {
  b.use_tf32(p == precision::tf32), b.use_bf16(p == precision::bf16);
  return p == precision::full ? "float" : p == precision::tf32 ? "tf32" : "bf16";
}

void ceilings(modx::cuda& b, const timing& time, std::size_t n, std::size_t values) {
  {
    const auto x = drawn(b, values / 1024, 1024);
    modx::device_matrix<modx::cuda> y(b, values / 1024, 1024);
    time(b, "copy", "float", 0, 8.0 * double(values), [&] { b.axpy(values, 1, x.data(), 0, y.data()); });
  }
  const auto x = drawn(b, n, n), w = drawn(b, n, n);
  modx::device_matrix<modx::cuda> y(b, n, n), memory(b, n, n);
  for (const auto p : {precision::full, precision::tf32, precision::bf16}) {
    const char* how = use(b, p);
    modx::gemm_task<float> task;
    task.m = task.n = task.k = task.ldc = n;
    task.a = modx::matrix_view<float>::plain(x.data(), n), task.b = modx::matrix_view<float>::plain(w.data(), n);
    task.c = y.data();
    if (b.packed_size(n, n)) {  // the left operand is rounded each time, as in a layer
      const modx::pack_task<float> pack{n, n, task.b, memory.data()};
      b.pack(std::span(&pack, 1));
      task.packed_b = memory.data();
    }
    time(b, "gemm", how, 2.0 * double(n) * double(n) * double(n), 0, [&] { b.gemm(task); });
  }
  use(b, precision::full);
}

void layer(modx::cuda& b, const timing& time, const layer_shape& s) {
  auto model = modx::build(b, s.spec(), s.io());
  const auto x = drawn(b, s.tokens, s.d);
  auto& t = model.tape_of_step();
  const auto forward = [&](bool backward) {
    t.reset();
    t.record_operations(backward);
    const auto y = model.forward(t.tensor(x.data(), s.tokens, s.d, backward));
    if (backward) t.backward(modx::ops::sum(y, 1.0 / double(y.size())));
    for (auto* p : model.parameters()) p->gradient_is_fresh = true;
    t.record_operations(true);
  };
  const std::string name = std::string("moe/") + s.name;
  for (const auto p : {precision::full, precision::tf32, precision::bf16})
    for (const auto engine : {modx::product_engine::streams, modx::product_engine::grouped}) {
      if (p == precision::bf16 && engine == modx::product_engine::grouped) continue;  // not with results in float
      b.set_product_engine(engine);
      const std::string how = std::string(use(b, p)) +
                              (engine == modx::product_engine::streams ? ", streams" : ", grouped");
      time(b, name + "/forward", how.c_str(), s.flops(), 0, [&] { forward(false); });
      time(b, name + "/forward+backward", how.c_str(), 3 * s.flops(), 0, [&] { forward(true); });
    }
  use(b, precision::full);
  b.set_product_engine(modx::product_engine::automatic);
  t.reset();
}

/// A training step on a batch with AdamW: plain, and as a graph.
template <class S>
void step(modx::cuda& b, const timing& time, std::size_t rows, const char* item, const S& spec, modx::shape io) {
  const auto x = b.normal(rows, io.in.size());
  std::vector<std::int32_t> label;
  for (std::size_t i = 0; i < rows; ++i) label.push_back(std::int32_t(7 * i % 10));
  const modx::optimizer::adamw adamw{};
  const modx::loss::cross_entropy loss{};
  {
    auto model = modx::build(b, spec, io);
    time(b, item, "float", 0, 0, [&] { modx::train_step(model, adamw, loss, x, label); });
  }
  auto model = modx::build(b, spec, io);
  modx::step_graphs<modx::cuda> graphs(b);
  time(b, item, "float, graph", 0, 0, [&] { modx::train_step(graphs, model, adamw, loss, x, label); });
}
void steps(modx::cuda& b, const timing& time, std::size_t rows) {
  step(b, time, rows, "step/cnn",
       m::sequential(m::conv2d{.channels = 32, .padding = 1, .relu = true, .pool = 2},
                     m::conv2d{.channels = 64, .padding = 1, .relu = true, .pool = 2}, m::flatten{},
                     m::linear{.out = 128, .act = modx::activation::relu}, m::linear{}),
       {{28, 28, 1}, 10});
  step(b, time, rows, "step/red",
       m::mixture{.base = m::linear{}, .experts = modx::expert::linear{}, .router = modx::router::softmax{},
                  .combiner = modx::combiner::residual{.scale = 0.1}, .n_experts = 5},
       {128, 10});
}

/// Output, input gradient and weight gradients of the layer on a backend.
template <class B>
std::vector<modx::matrix<float>> results(B& b, const layer_shape& s) {
  auto model = modx::build(b, s.spec(), s.io());
  modx::tape<B> t(b);
  model.pack_weights();
  const auto x = t.input(modx::cpu(5, 1).normal(s.tokens, s.d).data, s.tokens, s.d, true);
  const auto y = model.forward(x);
  t.backward(modx::ops::sum(modx::ops::square(y)));
  std::vector<modx::matrix<float>> all{y.host(), t.tensor(x.gradient(), s.tokens, s.d).host()};
  for (auto* p : model.parameters())
    if (p->gradient()) all.push_back(t.tensor(p->gradient(), p->rows(), p->cols()).host());
  return all;
}
int check() {
  modx::cpu cpu(1, 1);
  modx::cuda gpu(1);
  const auto want = results(cpu, shapes[0]), found = results(gpu, shapes[0]);
  double worst = want.size() == found.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; i < want.size() && i < found.size(); ++i) {
    double off = 0, norm = 0;
    for (std::size_t j = 0; j < want[i].data.size(); ++j) {
      off += std::pow(double(want[i].data[j]) - double(found[i].data[j]), 2);
      norm += std::pow(double(want[i].data[j]), 2);
    }
    worst = std::max(worst, std::sqrt(off / std::max(norm, 1e-30)));
  }
  std::printf("%zu tensors, largest relative difference from the CPU's %.3g\n", want.size(), worst);
  return want.size() > 2 && worst < 1e-5 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "--check") return check();
    if (what.empty() || what == "--help") {
      std::printf("gpu_benchmark --check | all | small | SHAPE...   (ceilings, steps, and the MoE layer at the shapes)\nshapes:");
      for (const auto& s : shapes) std::printf(" %s", s.name);
      std::printf("\n");
      return what.empty() ? 2 : 0;
    }
    modx::cuda b(1);
    const bool small = what == "small";
    const timing time = small ? timing{1, 0} : timing{};
    ceilings(b, time, small ? 64 : 8192, std::size_t(1) << (small ? 12 : 28));
    steps(b, time, small ? 2 : 128);
    for (const auto& s : shapes) {
      bool wanted = small ? &s == shapes : what == "all" && &s != shapes;
      for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], s.name) == 0;
      if (wanted) layer(b, time, s);
    }
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "gpu_benchmark: %s\n", e.what());
    return 1;
  }
}
