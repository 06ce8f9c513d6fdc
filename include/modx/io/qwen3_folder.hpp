// Qwen3 from a Hugging Face folder: config.json and model.safetensors, or its shards by model.safetensors.index.json.
#pragma once
#include <cmath>
#include <modx/io/hf_config.hpp>
#include <modx/io/hf_weights.hpp>
#include <modx/model.hpp>
#include <modx/model/generate.hpp>
#include <modx/model/qwen3.hpp>

namespace modx::io {

/// The architecture that `folder`/config.json describes.  Throws io_error: bad_config for a value that is missing, of another
/// kind, out of range, or of an architecture that isn't this one; unknown_key for a key that nobody here knows.
inline qwen3 read_qwen3_config(const std::filesystem::path& folder) {
  const hf_config c(folder / "config.json");
  c.expect_text("model_type", "qwen3");
  c.expect_text("hidden_act", "silu");
  c.expect_off("use_sliding_window");
  c.expect_off("rope_scaling");
  c.expect_each("layer_types", "full_attention");
  qwen3 s;
  s.vocabulary = c.count("vocab_size");
  s.width = c.count("hidden_size");
  s.hidden = c.count("intermediate_size");
  s.blocks = c.count("num_hidden_layers");
  s.heads = c.count("num_attention_heads");
  s.kv_heads = c.count("num_key_value_heads", s.heads);
  if (s.heads % s.kv_heads)
    c.fail("num_key_value_heads", "a divisor of " + std::to_string(s.heads) + " heads", std::to_string(s.kv_heads));
  s.head_dim = c.count("head_dim", 128);
  if (s.head_dim % 2) c.fail("head_dim", "an even number", std::to_string(s.head_dim));
  s.rotary_base = c.positive("rope_theta", c.positive_in("rope_parameters", "rope_theta", 1e4));
  s.eps = c.positive("rms_norm_eps", 1e-6);
  s.attention_bias = c.flag("attention_bias", false);
  s.tied = c.flag("tie_word_embeddings", false);
  c.refuse_unknown({"architectures", "attention_dropout", "bos_token_id", "eos_token_id", "pad_token_id", "initializer_range",
                    "max_position_embeddings", "max_window_layers", "sliding_window", "torch_dtype", "dtype", "use_cache",
                    "transformers_version", "_name_or_path"});
  return s;
}

/// What `folder`/generation_config.json says: how to sample (greedy unless "do_sample") and where to stop; without the file,
/// greedy, and the "eos_token_id" of config.json.
inline generation read_generation_config(const std::filesystem::path& folder) {
  generation g;
  std::error_code ignored;
  const bool own = std::filesystem::exists(folder / "generation_config.json", ignored);
  const hf_config c(folder / (own ? "generation_config.json" : "config.json"));
  g.stop = c.ids("eos_token_id");
  if (!own || !c.flag("do_sample", false)) return g;
  g.sampling = {.temperature = c.positive("temperature", 1), .top_k = c.count("top_k", 50), .top_p = c.positive("top_p", 1)};
  if (g.sampling.top_p > 1) c.fail("top_p", "a number up to 1", std::to_string(g.sampling.top_p));
  return g;
}

/// All blocks of a model may be trained.
inline constexpr std::size_t every_block = ~std::size_t(0);

/// The parameters of `model` from the weights of `folder` (F32, F16 or BF16).  Every tensor of the files must be used; a file
/// that is refused changes nothing.  Products with embeddings, head and all but the last `trained` blocks are frozen in
/// bfloat16: half the memory; what is trained are the blocks after them and, if there are any, the last norm.
template <Backend B>
void load_qwen3_weights(model<qwen3, B>& model, const std::filesystem::path& folder, std::size_t trained = every_block) {
  const qwen3& s = model.spec();
  hf_weights<typename B::scalar> w(folder);
  const std::string body = w.has("model.embed_tokens.weight") ? "model." : "";  // a bare backbone has no prefix
  const bool some_frozen = trained != every_block;
  if (some_frozen && trained > s.blocks)
    throw error("load_qwen3", "at most " + std::to_string(s.blocks) + " trained blocks", std::to_string(trained));
  const std::size_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  w.plan(model.find("embedding.weight"), {{body + "embed_tokens.weight", s.vocabulary, s.width}}, hf_layout::table, some_frozen);
  for (std::size_t i = 0; i < s.blocks; ++i) {
    const std::string from = body + "layers." + std::to_string(i) + ".", to = "blocks." + std::to_string(i) + ".";
    const bool frozen = some_frozen && i + trained < s.blocks;
    const auto put = [&](const std::string& name, std::vector<hf_part> parts, hf_layout layout = hf_layout::turned) {
      for (auto& part : parts) part.name = from + part.name;
      w.plan(model.find(to + name), parts, layout, frozen && layout == hf_layout::turned);
    };
    put("norm1.weight", {{"input_layernorm.weight", s.width, 0}}, hf_layout::as_is);
    put("attention.qkv.weight",
        {{"self_attn.q_proj.weight", q, s.width}, {"self_attn.k_proj.weight", kv, s.width}, {"self_attn.v_proj.weight", kv, s.width}});
    put("attention.out.weight", {{"self_attn.o_proj.weight", s.width, q}});
    if (s.attention_bias) {
      put("attention.qkv.bias", {{"self_attn.q_proj.bias", q, 0}, {"self_attn.k_proj.bias", kv, 0}, {"self_attn.v_proj.bias", kv, 0}}, hf_layout::as_is);
      put("attention.out.bias", {{"self_attn.o_proj.bias", s.width, 0}}, hf_layout::as_is);
    }
    put("attention.q_norm.weight", {{"self_attn.q_norm.weight", s.head_dim, 0}}, hf_layout::as_is);
    put("attention.k_norm.weight", {{"self_attn.k_norm.weight", s.head_dim, 0}}, hf_layout::as_is);
    put("norm2.weight", {{"post_attention_layernorm.weight", s.width, 0}}, hf_layout::as_is);
    put("f.gate_up.weight", {{"mlp.gate_proj.weight", s.hidden, s.width}, {"mlp.up_proj.weight", s.hidden, s.width}});
    put("f.down.weight", {{"mlp.down_proj.weight", s.width, s.hidden}});
  }
  w.plan(model.find("norm.weight"), {{body + "norm.weight", s.width, 0}}, hf_layout::as_is);
  if (!s.tied) w.plan(model.find("head.weight"), {{"lm_head.weight", s.vocabulary, s.width}}, hf_layout::table, some_frozen);
  if (s.tied) w.allow("lm_head.weight");  // some files repeat the tied table
  w.load();
  if (!some_frozen) return;
  for (auto* p : model.parameters()) {  // norms of frozen blocks too
    bool on = p->name() == "norm.weight" && trained > 0;
    for (std::size_t i = s.blocks - trained; i < s.blocks; ++i) on = on || matches("blocks." + std::to_string(i) + ".*", p->name());
    p->set_trainable(on);
  }
}

/// config.json and weights of `folder` as a model; `trained` as in load_qwen3_weights().
template <Backend B>
model<qwen3, B> load_qwen3(B& backend, const std::filesystem::path& folder, std::size_t trained = every_block) {
  const qwen3 spec = read_qwen3_config(folder);
  auto m = build(backend, spec, spec.io(), to_be_loaded);
  load_qwen3_weights(m, folder, trained);
  return m;
}

}  // namespace modx::io
