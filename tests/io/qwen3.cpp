// Qwen3 folders against an implementation of its own in PyTorch (tests/torch/qwen3_reference.py), generation with a cache
// against computing all again, and what a folder may not hold.
#include <cstdlib>
#include <fstream>
#include <modx/backend/cpu.hpp>
#include <modx/cache.hpp>
#include <modx/io/qwen3_folder.hpp>
#include <modx/io/safetensors_writer.hpp>
#include <modx/loss/cross_entropy.hpp>
#include <modx/module/linear.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/train.hpp>
#include <optional>

#include "catch.hpp"
#include "io_support.hpp"
#include "support.hpp"

using namespace modx::test;
using support::message;
using modx::io::safetensors_file;

namespace {

using float_tape = modx::tape<modx::cpu>;

/// The folder that the reference wrote, or nothing: then says why.
std::optional<fs::path> reference() {
  const char* file = std::getenv("MODX_TORCH_REFERENCE");  // they lie beside it
  const auto folder = file ? fs::path(file).parent_path() / "qwen3_reference" : fs::path();
  if (file && fs::exists(folder / "heads_4_2" / "expected.safetensors")) return folder;
  std::printf("MODX_SKIP: no models from tests/torch/qwen3_reference.py (PyTorch is not installed)\n");
  return std::nullopt;
}
std::vector<double> doubles(const safetensors_file& f, const std::string& name) {
  const auto& t = f.at(name);
  std::vector<double> v(modx::io::element_count(t));
  modx::io::copy_to(t, std::span(v));
  return v;
}
std::vector<std::int32_t> ints(const safetensors_file& f, const std::string& name) {
  const auto& t = f.at(name);
  std::vector<std::int32_t> v(modx::io::element_count(t));
  modx::io::copy_to(t, std::span(v));
  return v;
}
/// Largest difference as a share of the largest value.
template <class V>
double off(const V& y, const std::vector<double>& want) {
  REQUIRE(y.size() == want.size());
  double worst = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::fabs(double(y[i]) - want[i]));
    size = std::max(size, std::fabs(want[i]));
  }
  return worst / size;
}
modx::matrix<float> column(std::span<const std::int32_t> ids) {
  modx::matrix<float> m(ids.size(), 1);
  for (std::size_t i = 0; i < ids.size(); ++i) m.data[i] = float(ids[i]);
  return m;
}
const char* const models[] = {"heads_4_2", "heads_8_8_untied", "wide_heads_bf16", "half_untied"};

modx::qwen3 small() {
  return {.vocabulary = 31, .width = 12, .hidden = 20, .blocks = 2, .heads = 4, .kv_heads = 2, .head_dim = 6};
}

}  // namespace

TEST_CASE("qwen3: hidden states and logits equal PyTorch's, from one file and from shards, F32, F16 and BF16") {
  const auto folder = reference();
  if (!folder) return;
  for (const std::string name : models) {
    INFO(name);
    modx::cpu backend{1, 2};
    auto m = modx::io::load_qwen3(backend, *folder / name);
    const safetensors_file expected(*folder / name / "expected.safetensors");
    const auto ids = ints(expected, "ids"), lengths32 = ints(expected, "lengths");
    const std::vector<std::size_t> lengths(lengths32.begin(), lengths32.end());
    auto& t = m.tape_of_step();
    t.reset();
    const modx::unrecorded quiet(t);
    t.context.sequence = t.sequences_of(lengths);
    auto h = m.bound().embed(t.input(column(ids)));
    for (std::size_t i = 0; i <= m.bound().blocks() + 1; ++i) {
      if (i) h = m.bound().hidden_between(h, i - 1, i);
      CHECK(off(h.host().data, doubles(expected, "hidden." + std::to_string(i))) < 1e-5);
    }
    CHECK(off(m.bound().logits(h).host().data, doubles(expected, "logits")) < 1e-5);
    const auto together = m.predict(column(ids), lengths);
    CHECK(off(together.data, doubles(expected, "logits")) < 1e-5);
    std::size_t at = 0;  // a sequence alone has the bits it has among others
    for (const std::size_t length : lengths) {
      const std::size_t one[] = {length};
      const auto alone = m.predict(column(std::span(ids).subspan(at, length)), one);
      for (std::size_t i = 0; i < alone.data.size(); ++i) REQUIRE(alone.data[i] == together.data[at * together.cols + i]);
      at += length;
    }
  }
}

TEST_CASE("qwen3: with products in bfloat16 hidden states and logits are PyTorch's within 2e-2") {
  const auto folder = reference();
  if (!folder) return;
  for (const std::string name : models) {
    INFO(name);
    modx::cpu backend{1, 2};
    backend.use_bf16(true);
    auto m = modx::io::load_qwen3(backend, *folder / name, 0);
    const safetensors_file expected(*folder / name / "expected.safetensors");
    const auto ids = ints(expected, "ids"), lengths32 = ints(expected, "lengths");
    const std::vector<std::size_t> lengths(lengths32.begin(), lengths32.end());
    auto& t = m.tape_of_step();
    t.reset();
    const modx::unrecorded quiet(t);
    t.context.sequence = t.sequences_of(lengths);
    const std::size_t last = m.bound().blocks() + 1;
    const auto h = m.bound().hidden_between(m.bound().embed(t.input(column(ids))), 0, last);
    CHECK(off(h.host().data, doubles(expected, "hidden." + std::to_string(last))) < 2e-2);
    const double far = off(m.bound().logits(h).host().data, doubles(expected, "logits"));
    CHECK(far < 2e-2);
    CHECK(far > 1e-4);  // they are rounded
  }
}

TEST_CASE("qwen3: frozen in bfloat16 it computes the same with rounded weights, and its last blocks train") {
  const auto folder = reference();
  if (!folder) return;
  for (const std::string name : models) {
    modx::cpu backend{1, 2};
    const safetensors_file expected(*folder / name / "expected.safetensors");
    const auto ids = ints(expected, "ids"), lengths32 = ints(expected, "lengths");
    const std::vector<std::size_t> lengths(lengths32.begin(), lengths32.end());
    auto whole = modx::io::load_qwen3(backend, *folder / name);
    const std::size_t blocks = whole.spec().blocks;
    for (const std::size_t trained : {std::size_t(0), std::size_t(1), blocks}) {
      INFO(name << ", " << trained << " trained");
      auto m = modx::io::load_qwen3(backend, *folder / name, trained);
      const auto y = m.predict(column(ids), lengths);
      // weights that are bfloat16 already lose nothing; others are off by a rounding of 2^-9
      CHECK(off(y.data, doubles(expected, "logits")) < (name == "wide_heads_bf16" ? 1e-5 : 2e-2));
      for (auto* p : m.parameters()) whole.find(p->name()).set(p->host());
      CHECK(whole.predict(column(ids), lengths) == y);
      std::size_t moving = 0;
      for (auto* p : m.parameters()) moving += p->trainable();
      CHECK(moving == (trained ? 8 * trained + 1 : 0));
      if (!trained) continue;
      const auto before = m.find("blocks." + std::to_string(blocks - 1) + ".f.down.weight").host();
      std::vector<std::int32_t> next(ids.begin() + 1, ids.end());
      next.push_back(0);
      const double first = modx::train_step(m, modx::optimizer::adamw{.lr = 1e-2}, modx::loss::cross_entropy{}, column(ids), next, {.sequences = lengths});
      double last = 0;
      for (int i = 0; i < 20; ++i)
        last = modx::train_step(m, modx::optimizer::adamw{.lr = 1e-2}, modx::loss::cross_entropy{}, column(ids), next, {.sequences = lengths});
      CHECK(last < first);
      CHECK(!(m.find("blocks." + std::to_string(blocks - 1) + ".f.down.weight").host() == before));
    }
    CHECK(contains(message([&] { modx::io::load_qwen3(backend, *folder / name, blocks + 1); }), "trained blocks"));
  }
}

TEST_CASE("qwen3: weights of several parts, larger than what is read at once, are frozen to the same numbers") {
  const temp_folder folder;
  const std::size_t k = 16, rows[] = {70003, 70005};  // parts meet inside a panel, and no slab ends where one does
  std::vector<float> values[2];
  std::vector<modx::io::tensor_entry> entries;
  for (const std::size_t i : {0, 1}) {
    for (std::size_t n = 0; n < rows[i] * k; ++n) values[i].push_back(float(int((n * 37 + n / 255 * 11 + i) % 255) - 127) / 64);  // exact in bfloat16
    entries.push_back({i ? "b" : "a", modx::io::dtype::f32, {rows[i], k}, std::as_bytes(std::span(values[i]))});
  }
  modx::io::write_safetensors(folder / "model.safetensors", entries);
  modx::cpu backend{1, 2};
  auto m = modx::build(backend, modx::module::linear{.bias = false}, {.in = k, .out = rows[0] + rows[1]}, modx::to_be_loaded);
  modx::io::hf_weights<float> w(folder.path());
  w.plan(m.find("weight"), {{"a", rows[0], k}, {"b", rows[1], k}}, modx::io::hf_layout::turned, true);
  w.load();
  const auto found = m.find("weight").host();
  std::size_t wrong = 0;
  for (std::size_t c = 0; c < found.cols; ++c)
    for (std::size_t r = 0; r < k; ++r)
      wrong += found(r, c) != (c < rows[0] ? values[0][c * k + r] : values[1][(c - rows[0]) * k + r]);
  CHECK(wrong == 0);
}

TEST_CASE("qwen3: perturbing a token changes nothing before it, and everything trains") {
  modx::cpu backend{1, 2};
  auto m = modx::build(backend, small(), small().io());
  std::vector<std::int32_t> ids(20);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = std::int32_t(i * 7 % 31);
  const std::size_t lengths[] = {20};
  const auto y = m.predict(column(ids), lengths);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    auto changed = ids;
    changed[t] = (changed[t] + 1) % 31;
    const auto z = m.predict(column(changed), lengths);
    for (std::size_t r = 0; r < ids.size(); ++r) {
      const bool same = std::equal(y.row(r).begin(), y.row(r).end(), z.row(r).begin());
      CHECK(same == (r < t));
    }
  }
  auto& t = m.tape_of_step();
  t.reset();
  t.context.sequence = t.sequences_of(lengths);
  t.backward(modx::ops::mean(modx::ops::square(m.forward(t.input(column(ids))))));
  for (auto* p : m.parameters()) {
    INFO(p->name());
    REQUIRE(p->gradient());
    float largest = 0;
    for (std::size_t i = 0; i < p->size(); ++i) largest = std::max(largest, std::fabs(p->gradient()[i]));
    CHECK(largest > 0);
  }
  t.reset();
  m.train_only({"blocks.1.*", "norm.*"});  // the last block: nothing below gets a gradient
  CHECK(!m.find("blocks.0.f.down.weight").trainable());
}

TEST_CASE("qwen3: generation with a cache has the bits of computing everything again, in float and with products in bfloat16") {
  const bool bf16 = GENERATE(false, true);
  CAPTURE(bf16);
  modx::cpu backend{1, 2};
  backend.use_bf16(bf16);
  auto m = modx::build(backend, small(), small().io());
  std::vector<std::vector<std::int32_t>> text = {{3, 1, 4, 1, 5}, {9}, {2, 6, 5, 3, 5, 8, 9, 7, 9}};
  modx::key_value_cache<modx::cpu> cache(backend, 3, 300);
  auto& t = m.tape_of_step();
  std::vector<std::vector<std::int32_t>> fresh = text;
  for (int step = 0; step < 12; ++step) {
    std::vector<std::int32_t> ids;
    std::vector<std::size_t> lengths;
    for (const auto& f : fresh) ids.insert(ids.end(), f.begin(), f.end()), lengths.push_back(f.size());
    modx::matrix<float> last;
    {
      const modx::unrecorded quiet(t);
      t.reset();
      cache.start(t, lengths);
      const auto h = m.bound().hidden_between(m.bound().embed(t.input(column(ids))), 0, 3);
      last = m.bound().logits(modx::ops::sequence_lasts(h)).host();
      cache.finish(lengths);
      t.reset();
    }
    for (std::size_t s = 0; s < 3; ++s) {
      const std::size_t whole[] = {text[s].size()};
      const auto y = m.predict(column(text[s]), whole);
      const auto want = y.row(y.rows - 1);
      for (std::size_t j = 0; j < want.size(); ++j) REQUIRE(last(s, j) == want[j]);
      const auto best = std::int32_t(std::max_element(want.begin(), want.end()) - want.begin());
      fresh[s] = step == 5 && s == 1 ? std::vector<std::int32_t>(260, best) : std::vector<std::int32_t>{best};
      text[s].insert(text[s].end(), fresh[s].begin(), fresh[s].end());
    }
  }
  CHECK(cache.lengths()[1] == text[1].size() - fresh[1].size());
  const modx::unrecorded quiet(t);
  t.reset();
  const std::size_t too_many[] = {1, 100, 1};
  CHECK(contains(message([&] { cache.start(t, too_many); }), "key_value_cache: expected at most 300 tokens a sequence"));
  const std::size_t two[] = {1, 1};
  CHECK(contains(message([&] { cache.start(t, two); }), "key_value_cache"));
}

// [page]
/// The mean hidden state after the last norm, one row a text: what a head of experts stands on.
template <class M>
modx::matrix<float> pooled(M& model, const modx::matrix<float>& ids, std::span<const std::size_t> lengths) {
  auto& t = model.tape_of_step();
  t.reset();
  const modx::unrecorded quiet(t);
  t.context.sequence = t.sequences_of(lengths);
  const auto& net = model.bound();
  const auto h = net.hidden_between(net.embed(t.input(ids)), 0, net.blocks() + 1);
  return modx::ops::sequence_means(h).host();  // or sequence_lasts(h)
}
// [/page]

TEST_CASE("qwen3: pooled hidden states are each text's own") {
  modx::cpu backend{1, 2};
  auto m = modx::build(backend, small(), small().io());
  const std::vector<std::int32_t> ids = {3, 1, 4, 1, 5, 9};
  const auto both = pooled(m, column(ids), std::vector<std::size_t>{2, 4});
  const auto second = pooled(m, column(std::span(ids).subspan(2)), std::vector<std::size_t>{4});
  REQUIRE(both.rows == 2);
  CHECK(std::equal(both.row(1).begin(), both.row(1).end(), second.row(0).begin()));
  CHECK(!std::equal(both.row(0).begin(), both.row(0).end(), second.row(0).begin()));
}

TEST_CASE("generate: greedy tokens are the likeliest of a whole pass; stops, callbacks, batches and seeds") {
  modx::cpu backend{1, 2};
  auto m = modx::build(backend, small(), small().io());
  const std::vector<std::vector<std::int32_t>> prompts = {{3, 1, 4}, {1, 5, 9, 2, 6}, {5}};
  const auto together = modx::generate(m, prompts, {.max_tokens = 9});
  for (std::size_t s = 0; s < 3; ++s) {
    REQUIRE(together[s].size() == 9);
    auto text = prompts[s];
    for (const auto id : together[s]) {
      const std::size_t whole[] = {text.size()};
      const auto y = m.predict(column(text), whole);
      const auto row = y.row(y.rows - 1);
      CHECK(id == std::int32_t(std::max_element(row.begin(), row.end()) - row.begin()));
      text.push_back(id);
    }
    CHECK(modx::generate(m, std::span(&prompts[s], 1), {.max_tokens = 9})[0] == together[s]);
  }
  const auto stopped = modx::generate(m, prompts, {.max_tokens = 9, .stop = {together[1][2]}});
  const auto first = std::find(together[1].begin(), together[1].end(), together[1][2]) - together[1].begin();
  CHECK(stopped[1] == std::vector(together[1].begin(), together[1].begin() + first + 1));
  CHECK(std::equal(stopped[0].begin(), stopped[0].end(), together[0].begin()));  // the others go on
  std::size_t seen = 0;
  modx::generate(m, prompts, {.max_tokens = 9}, [&](std::size_t, std::int32_t) { return ++seen < 4; });
  CHECK(seen == 4);
  const modx::generation hot{.max_tokens = 20, .sampling = {.temperature = 3}, .seed = 5};
  const auto drawn = modx::generate(m, prompts, hot);
  CHECK(drawn == modx::generate(m, prompts, hot));
  auto other = hot;
  other.seed = 6;
  CHECK(drawn != modx::generate(m, prompts, other));
  auto few = hot;
  few.vocabulary = 3;
  for (const auto& ids : modx::generate(m, prompts, few))
    for (const auto id : ids) CHECK(id < 3);
  CHECK(contains(message([&] { modx::generate(m, std::vector<std::vector<std::int32_t>>{{}}); }), "generate, prompt 0: expected at least one token"));
  CHECK(contains(message([&] { modx::generate(m, std::vector<std::vector<std::int32_t>>{{31}}); }), "0 <= id < 31, found 31"));
}

TEST_CASE("sample: temperature, the k likeliest and the nucleus, by their frequencies") {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};
  const auto frequencies = [&](const modx::sampling& s) {
    std::vector<double> f(4);
    for (int i = 0; i < 1000; ++i) f[std::size_t(modx::sample(logits, s, (i + 0.5) / 1000))] += 1e-3;
    return f;
  };
  const auto close = [](const std::vector<double>& a, const std::vector<double>& b) {
    for (std::size_t i = 0; i < a.size(); ++i)
      if (std::fabs(a[i] - b[i]) > 2e-3) return false;
    return true;
  };
  CHECK(modx::sample(logits, {}, 0.9) == 1);
  CHECK(close(frequencies({.temperature = 1}), {0.1, 0.4, 0.2, 0.3}));
  CHECK(close(frequencies({.temperature = 0.5}), {0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3}));
  CHECK(close(frequencies({.temperature = 1, .top_k = 2}), {0, 4 / 7., 0, 3 / 7.}));
  CHECK(close(frequencies({.temperature = 1, .top_p = 0.75}), {0, 4 / 9., 2 / 9., 3 / 9.}));  // 0.4 + 0.3 is not enough
  CHECK(close(frequencies({.temperature = 1, .top_k = 3, .top_p = 0.5}), {0, 4 / 7., 0, 3 / 7.}));
  CHECK(close(frequencies({.temperature = 1, .top_p = 1e-9}), {0, 1, 0, 0}));
  const std::vector<float> tie = {1, 2, 2};
  CHECK(modx::sample(tie, {}, 0) == 1);
  CHECK(modx::sample(tie, {.temperature = 1, .top_k = 1}, 0.99) == 1);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(modx::sample(std::vector<float>{-infinity, 0}, {.temperature = 1}, 0.0) == 1);
  CHECK(contains(message([&] { modx::sample(std::vector<float>{}, {}, 0); }), "at least one logit"));
  CHECK(contains(message([&] { modx::sample(std::vector<float>{0, NAN}, {}, 0); }), "sample, logit 1"));
  CHECK(contains(message([&] { modx::sample(std::vector<float>{-infinity}, {}, 0); }), "a finite largest logit"));
  CHECK(contains(message([&] { modx::sample(logits, {.temperature = -1}, 0); }), "temperature >= 0"));
  CHECK(contains(message([&] { modx::sample(logits, {.top_p = 0}, 0); }), "top_p"));
}

namespace {

/// A folder with a small model, made by the test: config and weights may be changed before they are written.
struct folder_maker {
  temp_folder folder;
  nlohmann::json config = {{"model_type", "qwen3"},     {"hidden_act", "silu"},      {"vocab_size", 5},
                           {"hidden_size", 4},          {"intermediate_size", 6},    {"num_hidden_layers", 1},
                           {"num_attention_heads", 2},  {"num_key_value_heads", 1},  {"head_dim", 2},
                           {"rms_norm_eps", 1e-6},      {"rope_theta", 10000.0},     {"tie_word_embeddings", true}};
  std::map<std::string, std::vector<std::uint64_t>> shapes = {
      {"model.embed_tokens.weight", {5, 4}},
      {"model.layers.0.input_layernorm.weight", {4}},
      {"model.layers.0.post_attention_layernorm.weight", {4}},
      {"model.layers.0.self_attn.q_proj.weight", {4, 4}},
      {"model.layers.0.self_attn.k_proj.weight", {2, 4}},
      {"model.layers.0.self_attn.v_proj.weight", {2, 4}},
      {"model.layers.0.self_attn.o_proj.weight", {4, 4}},
      {"model.layers.0.self_attn.q_norm.weight", {2}},
      {"model.layers.0.self_attn.k_norm.weight", {2}},
      {"model.layers.0.mlp.gate_proj.weight", {6, 4}},
      {"model.layers.0.mlp.up_proj.weight", {6, 4}},
      {"model.layers.0.mlp.down_proj.weight", {4, 6}},
      {"model.norm.weight", {4}}};
  std::map<std::string, std::string> files;  // tensor -> shard; empty: one file

  void write_text(const std::string& name, const std::string& text) const { std::ofstream(folder.path() / name) << text; }
  void write_config() const { write_text("config.json", config.dump()); }
  void write_weights(modx::io::dtype type = modx::io::dtype::f32) const {
    const std::vector<float> zeros(64);
    std::map<std::string, std::vector<modx::io::tensor_entry>> parts;
    for (const auto& [name, shape] : shapes) {
      std::size_t n = modx::io::size_of(type);
      for (const auto d : shape) n *= d;
      const auto it = files.find(name);
      parts[it == files.end() ? "model.safetensors" : it->second].push_back({name, type, shape, std::as_bytes(std::span(zeros)).first(n)});
    }
    for (const auto& [file, list] : parts) modx::io::write_safetensors(folder.path() / file, list);
  }
  std::string error() const {
    modx::cpu backend{1, 1};
    return message([&] { modx::io::load_qwen3(backend, folder.path()); });
  }
};

}  // namespace

TEST_CASE("qwen3: configs that are wrong, or another architecture's, are refused by name") {
  struct wrong {
    const char *key, *json, *says;
  };
  const wrong table[] = {
      {"model_type", "\"qwen2\"", "\"model_type\": \"qwen3\""}, {"model_type", "3", "\"model_type\""}, {"model_type", nullptr, "found none"},
      {"hidden_act", "\"gelu\"", "\"hidden_act\": \"silu\""}, {"hidden_act", nullptr, "\"hidden_act\""},
      {"vocab_size", "0", "a whole number from 1 to 16777216"}, {"vocab_size", "-5", "\"vocab_size\""}, {"vocab_size", "5.0", "\"vocab_size\""},
      {"vocab_size", "\"5\"", "\"vocab_size\""}, {"vocab_size", "true", "\"vocab_size\""}, {"vocab_size", "[5]", "found array"},
      {"vocab_size", "18446744073709551615", "\"vocab_size\""}, {"vocab_size", "1e30", "\"vocab_size\""}, {"vocab_size", nullptr, "found none"},
      {"vocab_size", "16777217", "\"vocab_size\""}, {"hidden_size", "0", "\"hidden_size\""}, {"hidden_size", nullptr, "\"hidden_size\""},
      {"intermediate_size", "-1", "\"intermediate_size\""}, {"intermediate_size", nullptr, "\"intermediate_size\""},
      {"num_hidden_layers", "0", "\"num_hidden_layers\""}, {"num_hidden_layers", "{}", "found object"}, {"num_hidden_layers", nullptr, "\"num_hidden_layers\""},
      {"num_attention_heads", "0", "\"num_attention_heads\""}, {"num_attention_heads", nullptr, "\"num_attention_heads\""},
      {"num_key_value_heads", "3", "a divisor of 2 heads"}, {"num_key_value_heads", "0", "\"num_key_value_heads\""},
      {"head_dim", "3", "an even number"}, {"head_dim", "-2", "\"head_dim\""}, {"rms_norm_eps", "0", "a positive number"},
      {"rms_norm_eps", "-1e-6", "a positive number"}, {"rms_norm_eps", "\"1e-6\"", "a number"}, {"rope_theta", "0", "a positive number"},
      {"rope_theta", "false", "a number"}, {"tie_word_embeddings", "1", "true or false"}, {"attention_bias", "\"no\"", "true or false"},
      {"use_sliding_window", "true", "false or null"}, {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 4}", "false or null"},
      {"layer_types", "[\"full_attention\", \"sliding_attention\"]", "nothing but \"full_attention\""}, {"layer_types", "7", "a list"},
      {"rope_parameters", "{\"rope_type\": \"yarn\"}", "\"rope_type\": \"default\""}, {"rope_parameters", "{\"factor\": 2}", "unknown_key"},
      {"rope_parameters", "3", "an object"}, {"num_experts", "8", "unknown_key"}, {"quantization_config", "{}", "unknown_key"},
  };
  CHECK(std::size(table) >= 40);
  for (const auto& w : table) {
    folder_maker f;
    if (w.json) {
      f.config[w.key] = nlohmann::json::parse(w.json);
    } else {
      f.config.erase(w.key);
    }
    f.write_config();
    f.write_weights();
    const auto said = f.error();
    INFO(w.key << ": " << (w.json ? w.json : "absent") << "\n" << said);
    CHECK(contains(said, w.says));
    CHECK(contains(said, "config.json"));
  }
  for (const char* text : {"", "[]", "null", "{", "{\"model_type\": \"qwen3\", \"model_type\": \"qwen3\"}", "{\"a\": 1e999999}"}) {
    folder_maker f;
    f.write_text("config.json", text);
    INFO(text);
    CHECK(contains(f.error(), "config.json"));
  }
  folder_maker none;
  CHECK(contains(none.error(), "config.json"));
}

TEST_CASE("qwen3: what real configs also say is let through") {
  folder_maker f;
  f.config.erase("rope_theta");
  f.config["rope_parameters"] = {{"rope_theta", 500.0}, {"rope_type", "default"}};
  f.config["layer_types"] = {"full_attention"};
  f.config["sliding_window"] = nullptr;
  f.config["use_sliding_window"] = false;
  f.config["rope_scaling"] = nullptr;
  f.config["dtype"] = "bfloat16";
  f.config["architectures"] = {"Qwen3ForCausalLM"};
  f.write_config();
  f.write_weights(modx::io::dtype::bf16);
  CHECK(f.error().empty());
  CHECK(modx::io::read_qwen3_config(f.folder.path()).rotary_base == 500.0);
}

TEST_CASE("qwen3: generation settings come from their file, or greedy from config.json") {
  folder_maker f;
  f.config["eos_token_id"] = 3;
  f.write_config();
  auto g = modx::io::read_generation_config(f.folder.path());
  CHECK(g.stop == std::vector<std::int32_t>{3});
  CHECK(g.sampling == modx::sampling{});
  f.write_text("generation_config.json", R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "eos_token_id": [4, 2]})");
  g = modx::io::read_generation_config(f.folder.path());
  CHECK(g.stop == std::vector<std::int32_t>{4, 2});
  CHECK(g.sampling == modx::sampling{.temperature = 0.6, .top_k = 20, .top_p = 0.95});
  f.write_text("generation_config.json", R"({"temperature": 0.6})");
  CHECK(modx::io::read_generation_config(f.folder.path()).sampling == modx::sampling{});
  for (const char* bad : {R"({"do_sample": 1})", R"({"do_sample": true, "top_p": 1.5})", R"({"eos_token_id": -1})", R"({"eos_token_id": [1.5]})",
                          R"({"do_sample": true, "temperature": 0})", R"({"do_sample": true, "top_k": -3})"}) {
    f.write_text("generation_config.json", bad);
    INFO(bad);
    CHECK(contains(message([&] { modx::io::read_generation_config(f.folder.path()); }), "bad_config"));
  }
}

TEST_CASE("qwen3: weights that are missing, too many, or of another shape or type are named") {
  const auto changed = [](auto change, modx::io::dtype type = modx::io::dtype::f32) {
    folder_maker f;
    f.write_config();
    change(f);
    f.write_weights(type);
    return f.error();
  };
  CHECK(changed([](auto&) {}).empty());
  for (const auto& [name, shape] : folder_maker().shapes) {
    INFO(name);
    const auto missing = changed([&](auto& f) { f.shapes.erase(name); });
    CHECK(contains(missing, "missing_tensor"));
    const auto other = changed([&](auto& f) { f.shapes[name][0] += 1; });
    CHECK(contains(other, "shape_mismatch"));
    CHECK(contains(other, name.substr(6)));
    CHECK(contains(changed([&](auto& f) { f.shapes[name].push_back(1); }), "shape_mismatch"));
  }
  CHECK(contains(changed([](auto& f) { f.shapes["model.layers.1.mlp.up_proj.weight"] = {6, 4}; }), "unexpected_tensor"));
  CHECK(changed([](auto& f) { f.shapes["lm_head.weight"] = {5, 4}; }).empty());  // tied: a copy does no harm
  CHECK(contains(changed([](auto&) {}, modx::io::dtype::i32), "unsupported_dtype"));
  folder_maker none;
  none.write_config();
  CHECK(contains(none.error(), "model.safetensors"));
  folder_maker bare;  // a backbone without the prefix
  bare.write_config();
  std::map<std::string, std::vector<std::uint64_t>> shapes;
  for (const auto& [name, shape] : bare.shapes) shapes[name.substr(6)] = shape;
  bare.shapes = shapes;
  bare.write_weights();
  CHECK(bare.error().empty());
}

TEST_CASE("qwen3: an index of shards is believed in nothing") {
  const auto with_index = [](auto change) {
    folder_maker f;
    f.write_config();
    std::size_t i = 0, total = 0;
    for (const auto& [name, shape] : f.shapes) {
      f.files[name] = i++ % 2 ? "b.safetensors" : "a.safetensors";
      std::size_t n = 4;
      for (const auto d : shape) n *= d;
      total += n;
    }
    nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", f.files}};
    f.write_weights();
    change(f, index);
    f.write_text("model.safetensors.index.json", index.dump());
    return f.error();
  };
  CHECK(with_index([](auto&, auto&) {}).empty());
  CHECK(with_index([](auto&, auto& i) { i.erase("metadata"); }).empty());
  const char* first = "model.embed_tokens.weight";
  for (const char* name : {"../a.safetensors", "/etc/passwd", "", ".", "..", "x/y", "x\\y"}) {
    INFO(name);
    CHECK(contains(with_index([&](auto&, auto& i) { i["weight_map"][first] = name; }), "bad_index"));
  }
  CHECK(contains(with_index([&](auto&, auto& i) { i["weight_map"][first] = 3; }), "bad_index"));
  CHECK(contains(with_index([&](auto&, auto& i) { for (auto& file : i["weight_map"]) file = "c.safetensors"; }), "c.safetensors"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["weight_map"].erase(first); }), "unexpected_tensor"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["weight_map"]["nowhere"] = "a.safetensors"; }), "missing_tensor"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["weight_map"][first] = "b.safetensors"; }), "unexpected_tensor"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["metadata"]["total_size"] = 7; }), "total_size"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["metadata"] = 7; }), "bad_index"));
  CHECK(contains(with_index([&](auto&, auto& i) { i.erase("weight_map"); }), "weight_map"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["weight_map"] = nlohmann::json::object(); }), "at least one tensor"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["weight_map"] = "a"; }), "weight_map"));
  CHECK(contains(with_index([&](auto&, auto& i) { i["more"] = 1; }), "unknown_key"));
  CHECK(contains(with_index([&](auto& f, auto&) { fs::copy(f.folder.path() / "a.safetensors", f.folder.path() / "model.safetensors"); }), "both"));
}
