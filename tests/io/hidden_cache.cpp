// Hidden states kept in a file: training from them is training from the tokens, bit for bit; stale and damaged files are
// computed again with a message.
#include <modx/backend/cpu.hpp>
#include <modx/io/hidden_cache.hpp>
#include <modx/loss/cross_entropy.hpp>
#include <modx/model/qwen3.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/train.hpp>

#include "catch.hpp"
#include "io_support.hpp"
#include "support.hpp"

using namespace modx::test;
using modx::io::hidden_cache;
using support::message;

namespace {

modx::qwen3 small() {
  return {.vocabulary = 23, .width = 12, .hidden = 20, .blocks = 3, .heads = 4, .kv_heads = 2, .head_dim = 6};
}
std::vector<hidden_cache::text> some_texts() {
  std::vector<hidden_cache::text> texts;
  for (std::int32_t i = 0; i < 21; ++i) {
    hidden_cache::text t(std::size_t(1 + i * 5 % 7));
    for (std::size_t j = 0; j < t.size(); ++j) t[j] = std::int32_t((std::size_t(i) * 3 + j * j) % 23);
    texts.push_back(t);
  }
  texts.push_back(texts[4]);  // the same question again
  return texts;
}
modx::matrix<float> column(std::span<const std::int32_t> ids) {
  modx::matrix<float> m(ids.size(), 1);
  for (std::size_t i = 0; i < ids.size(); ++i) m.data[i] = float(ids[i]);
  return m;
}

struct fixture {
  modx::cpu backend{1, 2};
  modx::model<modx::qwen3, modx::cpu> model = modx::build(backend, small(), small().io(), 7);
  temp_folder folder;
  std::vector<hidden_cache::text> texts = some_texts();
  std::size_t computed = 0;
  std::vector<std::string> said;

  hidden_cache cache(std::size_t layer, const std::string& tokenizer = "t") {
    const auto f = [&, layer](std::span<const hidden_cache::text* const> list) {
      std::vector<std::int32_t> ids;
      std::vector<std::size_t> lengths;
      for (const auto* t : list) ids.insert(ids.end(), t->begin(), t->end()), lengths.push_back(t->size());
      computed += list.size();
      auto& t = model.tape_of_step();
      t.reset();
      const modx::unrecorded quiet(t);
      t.context.sequence = t.sequences_of(lengths);
      return model.bound().hidden_between(model.bound().embed(t.input(column(ids))), 0, layer).host();
    };
    return {folder / "hidden.safetensors", {modx::io::weights_sum(model), tokenizer, layer, backend.uses_bf16()}, texts, f,
            [&](const std::string& s) { said.push_back(s); }, {}, 4};
  }
};

}  // namespace

TEST_CASE("hidden_cache: training the last block from the file gives the bits of training from the tokens") {
  fixture f;
  const auto cache = f.cache(2);
  CHECK(cache.size() == 22);
  CHECK(cache.distinct() == 21);
  CHECK(f.computed == 21);
  auto other = modx::build(f.backend, small(), small().io(), 7);
  f.model.train_only({"blocks.2.*", "norm.*"}), other.train_only({"blocks.2.*", "norm.*"});
  const modx::optimizer::adamw optimizer{.lr = 1e-2};
  for (int step = 0; step < 5; ++step) {
    std::vector<std::int32_t> rows, ids, label;
    for (std::int32_t i = step; i < 22; i += 3) rows.push_back(i);
    std::vector<std::size_t> lengths;
    const auto h = cache.rows(rows, lengths);
    for (const auto i : rows) {
      const auto& t = f.texts[std::size_t(i)];
      ids.insert(ids.end(), t.begin(), t.end());
      for (const auto id : t) label.push_back((id * 3 + 1) % 23);
    }
    const double a = modx::train_step(f.model, optimizer, modx::loss::cross_entropy{}, h, label, {.sequences = lengths},
                                      [](const auto& net, auto x) { return net.logits(net.hidden_between(x, 2, 4)); });
    const double b = modx::train_step(other, optimizer, modx::loss::cross_entropy{}, column(ids), label, {.sequences = lengths});
    CHECK(a == b);
  }
  for (auto* p : other.parameters()) CHECK(f.model.find(p->name()).host() == p->host());
}

TEST_CASE("hidden_cache: what is there is used; what is stale or damaged is computed again, and said") {
  fixture f;
  f.cache(2);
  const auto bytes = get(f.folder / "hidden.safetensors");
  f.computed = 0;
  f.cache(2);
  CHECK(f.computed == 0);
  CHECK(f.said.empty());
  const auto rebuilt = [&](auto change, const std::string& code) {
    put(f.folder / "hidden.safetensors", bytes);
    f.computed = 0, f.said.clear();
    change();
    CHECK(f.computed == f.cache(2).distinct());
    REQUIRE(f.said.size() == 1);
    INFO(f.said[0]);
    CHECK(contains(f.said[0], "computed again: "));
    CHECK(contains(f.said[0], code));
    f.computed = 0;
    f.cache(2);
    CHECK(f.computed == 0);
  };
  const auto file = f.folder / "hidden.safetensors";
  for (const std::size_t at : {std::size_t(0), std::size_t(9), bytes.size() / 2, bytes.size() - 1})
    rebuilt([&] {
      auto damaged = bytes;
      damaged[at] = char(damaged[at] ^ 0x55);
      put(file, damaged);
    }, "");
  rebuilt([&] { put(file, bytes.substr(0, bytes.size() - 8)); }, "");
  rebuilt([&] { put(file, ""); }, "");
  rebuilt([&] { put(file, "not a cache at all"); }, "");
  rebuilt([&] { f.texts[3][0] = (f.texts[3][0] + 1) % 23; }, "stale");
  rebuilt([&] { f.model.find("blocks.0.f.down.weight").mutable_value()[0] += 1; }, "stale");
  rebuilt([&] { f.backend.use_bf16(true); }, "stale");
  f.computed = 0, f.said.clear();
  f.cache(1);
  CHECK(f.computed > 0);
  CHECK(contains(f.said.at(0), "stale"));
  f.computed = 0, f.said.clear();
  f.cache(1, "another tokenizer");
  CHECK(f.computed > 0);
}

TEST_CASE("hidden_cache: what it can't do it says") {
  fixture f;
  const auto c = f.cache(1);
  std::vector<std::size_t> lengths;
  const std::int32_t high[] = {22}, low[] = {-1};
  CHECK(contains(message([&] { c.rows(high, lengths); }), "texts below 22, found 22"));
  CHECK(contains(message([&] { c.rows(low, lengths); }), "found -1"));
  CHECK(c.rows({}, lengths).rows == 0);
  f.texts.push_back({});
  CHECK(contains(message([&] { f.cache(1); }), "hidden_cache, text 22: expected at least one token"));
  const auto wrong = [&](std::span<const hidden_cache::text* const>) { return modx::matrix<float>(1, 2); };
  CHECK(contains(message([&] {
                   hidden_cache(f.folder / "new", {}, std::span(f.texts).first(3), wrong);
                 }), "hidden_cache, computed hidden states"));
  CHECK(!fs::exists(f.folder / "new"));
}
