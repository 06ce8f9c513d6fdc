// Twenty steps of each architecture end with the same bits for any number of threads, and again.
#include <cstring>
#include <modx/loss/load_balance.hpp>
#include <modx/optimizer/adamw.hpp>

#include "catch.hpp"
#include "zoo.hpp"

using namespace modx;

namespace {

/// FNV-1a over bits.
struct checksum {
  std::uint64_t value = 1469598103934665603ull;
  template <class T>
  void add(const T& x) {
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, &x, sizeof x);
    for (const auto b : bytes) value = (value ^ b) * 1099511628211ull;
  }
};

struct outcome {
  std::vector<double> losses;
  std::uint64_t weights;
  bool operator==(const outcome&) const = default;
};

template <class S>
outcome train(const S& spec, const shape& io, int threads, std::uint64_t seed = 3) {
  cpu backend{seed, threads};
  auto m = build(backend, spec, io);
  outcome out{{}, 0};
  for (std::uint64_t step = 0; step < 20; ++step) {
    const zoo::batch<float> data(67, io, step % 2);
    out.losses.push_back(train_step(m, optimizer::adamw{.lr = 0.01}, loss::cross_entropy{}, data.x, data.label,
                                    {.clip_norm = 1}));
  }
  checksum bits;
  for (auto* p : m.parameters())
    for (const float w : p->host().data) bits.add(w);
  out.weights = bits.value;
  return out;
}

}  // namespace

TEST_CASE("training gives the same bits for any number of threads and every time") {
  zoo::for_each([](const char* name, const auto& spec, const shape& io) {
    INFO(name);
    const auto first = train(spec, io, 1);
    CHECK(first.losses.back() < first.losses.front());
    for (const int threads : {1, 2, 3, 4})
      for (int again = 0; again < 2; ++again) CHECK(train(spec, io, threads) == first);
    CHECK(train(spec, io, 1, 4).weights != first.weights);
  });
}

TEST_CASE("experts that hear each other train to the same bits for any number of threads") {
  const auto first = train(zoo::talking(), zoo::rows_of_20, 1);
  for (const int threads : {2, 3}) CHECK(train(zoo::talking(), zoo::rows_of_20, threads) == first);
}

TEST_CASE("larger layers, cut into tasks, give the same bits for any number of threads") {
  const auto spec = module::mixture{.base = module::linear{}, .experts = expert::mlp{.hidden = 160},
                                    .router = router::top_k{.k = 2}, .combiner = combiner::residual{}, .n_experts = 4};
  const shape io{.in = 150, .out = 130};
  matrix<float> x(300, 150);
  const random_stream random(1, "x");
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = float(random.normal(i));
  std::vector<std::int32_t> label(300);
  for (std::size_t i = 0; i < 300; ++i) label[i] = std::int32_t(i % 130);
  std::vector<outcome> all;
  for (const int threads : {1, 2, 3, 4}) {
    cpu backend{3, threads};
    auto m = build(backend, spec, io);
    outcome out{{}, 0};
    for (int step = 0; step < 3; ++step)
      out.losses.push_back(train_step(m, optimizer::adamw{}, loss::cross_entropy{} + loss::load_balance{}, x, label));
    checksum bits;
    for (auto* p : m.parameters())
      for (const float w : p->host().data) bits.add(w);
    out.weights = bits.value;
    all.push_back(out);
  }
  for (const auto& out : all) CHECK(out == all[0]);
}

TEST_CASE("changing the number of threads while training changes no bit") {
  const auto train_with = [](bool change) {
    cpu backend{3, 1};
    auto m = build(backend, zoo::dense(), zoo::rows_of_20);
    std::vector<double> losses;
    for (int step = 0; step < 6; ++step) {
      if (change) backend.set_threads(1 + step % 4);
      const zoo::batch<float> data(130, zoo::rows_of_20, 1);
      losses.push_back(train_step(m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label));
    }
    return losses;
  };
  CHECK(train_with(true) == train_with(false));
}
