// sequence_dataset: texts of many lengths in stages, evaluations and map_rows, the same bits in any batch.
#include <utility>

#include <modx/fit.hpp>
#include <modx/module/embedding.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/sequence_dataset.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace modx;
using support::contains;
using support::cpu64;
using support::message;

namespace {

using texts = std::vector<std::vector<std::int32_t>>;

/// Texts of 1 to 7 tokens; the label says whether token 3 is among them, the domain how long they are.
struct task {
  texts text;
  std::vector<std::int32_t> label, domain;
  explicit task(std::int32_t n) {
    for (std::int32_t i = 0; i < n; ++i) {
      text.emplace_back();
      for (std::int32_t j = 0; j <= i % 7; ++j) text.back().push_back((i * 5 + j * j + i / 9) % 11);
      label.push_back(std::find(text.back().begin(), text.back().end(), 3) != text.back().end());
      domain.push_back(i % 7);
    }
  }
};

// [page]
/// Classes of a text from the mean of its tokens' embeddings.
template <class M>
std::vector<std::int32_t> classify(M& net, const modx::sequence_dataset<modx::cpu>& data, std::span<const std::int32_t> train,
                                   std::span<const std::int32_t> rest) {
  const auto forward = [](const auto& n, auto ids) {
    return n.template part<1>().forward(modx::ops::sequence_means(n.template part<0>().forward(ids)));
  };
  modx::fitter stage(net, modx::optimizer::adamw{.lr = 0.05}, modx::loss::cross_entropy{}, data, {train.begin(), train.end()},
                     {rest.begin(), rest.end()}, data.label, forward, {.max_epochs = 40, .batch_size = 16, .virtual_batch_size = 16});
  while (!stage.done()) stage.run_epoch();
  stage.restore_best();
  return modx::evaluate(net, data, rest, data.label, forward).predicted;
}
// [/page]

template <class B>
auto network(B& backend) {
  return build(backend, module::sequential(module::embedding{.vocabulary = 11, .out = 6}, module::linear{}), {.in = 1, .out = 2}, 3);
}

}  // namespace

TEST_CASE("a batch of texts is their tokens, where they end, and their domains") {
  cpu64 backend(1, 1);
  const texts text{{5, 6}, {7}, {8, 9, 10}};
  const auto data = make_texts(backend, text, {0, 1, 0}, {4, 3, 2});
  CHECK(data.size() == 3);
  tape<cpu64> t(backend);
  const std::vector<std::int32_t> id{2, 0, 2};
  CHECK(data.batch(t, id).host() == support::rows({{8}, {9}, {10}, {5}, {6}, {8}, {9}, {10}}));
  const auto& s = t.context.sequence;
  REQUIRE(s.count == 3);
  CHECK(s.longest == 3);
  CHECK(std::vector<std::int32_t>(s.offsets, s.offsets + 4) == std::vector<std::int32_t>{0, 3, 5, 8});
  REQUIRE(t.context.domain_count == 3);
  CHECK(std::vector<std::int32_t>(t.context.domain, t.context.domain + 3) == std::vector<std::int32_t>{2, 4, 2});
}

TEST_CASE("hidden states are texts of more columns") {
  cpu64 backend(1, 1);
  const sequence_dataset<cpu64> data{{backend, support::rows({{1, 2}, {3, 4}, {5, 6}}), 2}, {0, 1, 3}, {}, {}};
  tape<cpu64> t(backend);
  CHECK(ops::sequence_means(data.batch(t, std::vector<std::int32_t>{1, 0})).host() == support::rows({{4, 5}, {1, 2}}));
  CHECK(t.context.domain_count == 0);
}

TEST_CASE("texts that aren't there, empty ones and offsets beyond the tokens are refused") {
  cpu64 backend(1, 1);
  tape<cpu64> t(backend);
  const auto said = [&](const sequence_dataset<cpu64>& data, std::int32_t id) {
    t.reset();
    return message([&] { data.batch(t, std::vector<std::int32_t>{id}); });
  };
  const auto data = make_texts(backend, texts{{1, 2}, {}}, {0, 0});
  CHECK(said(data, 0).empty());
  CHECK(contains(said(data, -1), "sequence_dataset::batch, row 0: expected 0 <= id < 2, found -1"));
  CHECK(contains(said(data, 2), "found 2"));
  CHECK(contains(said(data, 1), "sequence_dataset, text 1: expected one token or more of 2, found 2 to 2"));
  const sequence_dataset<cpu64> beyond{{backend, support::rows({{1}, {2}}), 1}, {0, 3}, {}, {}};
  CHECK(contains(said(beyond, 0), "found 0 to 3"));
  CHECK(contains(said({{backend, support::rows({{1}}), 1}, {-1, 1}, {}, {}}, 0), "found -1 to 1"));
  CHECK(contains(said(make_texts(backend, texts{{1}}, {0}, {1, 2}), 0), "expected 1 domains, found 2"));
  CHECK(make_texts(backend, texts{}, {}).size() == 0);
}

TEST_CASE("a stage learns from texts of many lengths, with the same bits at any number of threads") {
  std::vector<matrix<float>> first;
  for (const int threads : {1, 2, 3}) {
    cpu backend(7, threads);
    const task own(200);
    const auto data = make_texts(backend, own.text, own.label, own.domain);
    std::vector<std::int32_t> train, rest;
    for (std::int32_t i = 0; i < 200; ++i) (i % 5 ? train : rest).push_back(i);
    auto net = network(backend);
    const auto predicted = classify(net, data, train, rest);
    std::size_t right = 0;
    for (std::size_t i = 0; i < rest.size(); ++i) right += predicted[i] == own.label[std::size_t(rest[i])];
    CHECK(right >= 34);  // of 40
    std::vector<matrix<float>> values;
    for (auto* p : net.parameters()) values.push_back(p->host());
    if (first.empty()) first = values;
    CHECK(values == first);
  }
}

TEST_CASE("map_rows and evaluate give the same bits for texts in any batches; a row a text is needed") {
  cpu backend(7, 2);
  const task own(60);
  const auto data = make_texts(backend, own.text, own.label, own.domain);
  auto net = network(backend);
  const auto pooled = [](const auto& n, auto ids) { return ops::sequence_means(n.template part<0>().forward(ids)); };
  const auto scores = [&](const auto& n, auto ids) { return n.template part<1>().forward(pooled(n, ids)); };
  const auto one = map_rows(net, data, 6, pooled);
  const auto whole = evaluate(net, data, all_rows(60), own.label, scores);
  for (const std::size_t batch : {1, 7, 59, 60}) {
    const auto other = map_rows(net, data, 6, pooled, batch);
    CHECK(std::equal(one.data(), one.data() + 360, other.data()));
    CHECK(evaluate(net, data, all_rows(60), own.label, scores, nullptr, [](auto&, ids) {}, batch).predicted == whole.predicted);
  }
  // And by hand: the mean of text 8's embeddings.
  const auto table = net.find("0.weight").host();
  for (std::size_t j = 0; j < 6; ++j) {
    float mean = 0;
    for (const auto id : own.text[8]) mean += table(std::size_t(id), j);
    CHECK(one.data()[8 * 6 + j] == Approx(mean / float(own.text[8].size())).margin(1e-6));
  }
  CHECK(contains(message([&] { map_rows(net, data, 6, [](const auto& n, auto ids) { return n.template part<0>().forward(ids); }); }),
                 "map_rows: expected 60 rows of a batch, found 234"));
}

TEST_CASE("graphs of steps are refused for texts: their batches have many shapes") {
  cpu backend(7, 1);
  const task own(20);
  const auto data = make_texts(backend, own.text, own.label);
  auto net = network(backend);
  CHECK(contains(message([&] {
                   fitter(net, optimizer::adamw{}, loss::cross_entropy{}, data, all_rows(20), all_rows(20), own.label,
                          [](const auto& n, auto ids) { return n.forward(ids); }, {.graphs = true});
                 }),
                 "rows of one shape"));
}
