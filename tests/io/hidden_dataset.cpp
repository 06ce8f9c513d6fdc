// hidden_dataset: training from the file of hidden states is training from the tokens, bit for bit, in stages as in single steps.
#include <modx/backend/cpu.hpp>
#include <modx/fit.hpp>
#include <modx/io/hidden_dataset.hpp>
#include <modx/model/qwen3.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/sequence_dataset.hpp>

#include "catch.hpp"
#include "io_support.hpp"
#include "support.hpp"

using namespace modx::test;
using support::message;

namespace {

using text = std::vector<std::int32_t>;

struct fixture {
  modx::cpu backend{1, 2};
  modx::qwen3 spec{.vocabulary = 23, .width = 12, .hidden = 20, .blocks = 3, .heads = 4, .kv_heads = 2, .head_dim = 6};
  modx::model<modx::qwen3, modx::cpu> model = modx::build(backend, spec, spec.io(), 7);
  temp_folder folder;
  std::vector<text> texts;
  std::vector<std::int32_t> label, domain;

  fixture() {
    for (std::int32_t i = 0; i < 40; ++i) {
      texts.emplace_back();
      for (std::int32_t j = 0; j <= i % 5; ++j) texts.back().push_back((i % 10 * 3 + j * j) % 11);  // each four times
      label.push_back(texts.back().front() % 2), domain.push_back(i % 3);
    }
  }
  modx::io::hidden_cache cache(std::size_t layer) {
    return {folder / "hidden.safetensors", {modx::io::weights_sum(model), "t", layer}, texts, [&](std::span<const text* const> list) {
              modx::matrix<float> ids(0, 1);
              std::vector<std::size_t> lengths;
              for (const auto* one : list) {
                for (const auto id : *one) ids.data.push_back(float(id));
                lengths.push_back(one->size());
              }
              ids.rows = ids.data.size();
              auto& t = model.tape_of_step();
              t.reset();
              const modx::unrecorded quiet(t);
              t.context.sequence = t.sequences_of(lengths);
              return model.bound().hidden_between(model.bound().embed(t.input(ids)), 0, layer).host();
            }};
  }
  /// Trains the last block and the head of a fresh copy; every parameter afterwards.
  template <class D, class F>
  std::vector<modx::matrix<float>> trained(const D& data, F forward) {
    auto net = modx::build(backend, spec, spec.io(), 7);
    net.train_only({"blocks.2.*"});
    std::vector<std::int32_t> rows, rest;
    for (std::int32_t i = 0; i < 40; ++i) (i % 4 ? rows : rest).push_back(i);
    modx::fitter fit(net, modx::optimizer::adamw{.lr = 0.01}, modx::loss::cross_entropy{}, data, rows, rest, label, forward,
                     {.max_epochs = 3, .batch_size = 8, .virtual_batch_size = 16});
    while (!fit.done()) fit.run_epoch();
    std::vector<modx::matrix<float>> all;
    for (auto* p : net.parameters()) all.push_back(p->host());
    return all;
  }
};

}  // namespace

TEST_CASE("hidden_dataset: a stage from hidden states gives the bits of one from the tokens") {
  fixture f;
  const auto cache = f.cache(2);
  CHECK(cache.distinct() < cache.size());
  const modx::io::hidden_dataset states{&cache, f.label, f.domain};
  const auto tokens = modx::make_texts(f.backend, f.texts, f.label, f.domain);
  const auto pooled = [](const auto& net, auto h, std::size_t from) {
    return modx::ops::sequence_means(net.hidden_between(h, from, 4));
  };
  const auto from_states = f.trained(states, [&](const auto& net, auto h) { return pooled(net, h, 2); });
  const auto from_tokens = f.trained(tokens, [&](const auto& net, auto ids) { return pooled(net, net.embed(ids), 0); });
  CHECK(from_states == from_tokens);
}

TEST_CASE("hidden_dataset: batches are the texts asked for, with their domains; others are refused") {
  fixture f;
  const auto cache = f.cache(0);
  const modx::io::hidden_dataset states{&cache, f.label, f.domain};
  modx::tape<modx::cpu> t(f.backend);
  const std::vector<std::int32_t> id{4, 0};
  const auto x = states.batch(t, id);
  CHECK(x.rows() == 6);
  CHECK(t.context.sequence.count == 2);
  REQUIRE(t.context.domain_count == 2);
  CHECK(t.context.domain[0] == 1);
  const auto table = f.model.find("embedding.weight").host();
  for (std::size_t j = 0; j < 12; ++j) CHECK(x.host()(5, j) == table(std::size_t(f.texts[0][0]), j));
  CHECK(contains(message([&] { states.batch(t, std::vector<std::int32_t>{40}); }), "hidden_dataset::batch, row 0: expected 0 <= id < 40, found 40"));
}
