// A small random Qwen3 as a folder of Hugging Face's: config.json, tokenizer.json, model.safetensors.
#pragma once
#include <modx/io/safetensors_writer.hpp>

#include "text_support.hpp"

namespace modx::test {

inline void write_small_qwen3(const fs::path& folder) {
  const std::size_t d = 8, f = 12;
  const json tokenizer =
      small_json({{"h", "e"}, {"l", "l"}}, {"<|im_start|>", "<|im_end|>", "<think>", "</think>"});
  put(folder / "tokenizer.json", tokenizer.dump());
  const json config = {
      {"model_type", "qwen3"},    {"hidden_act", "silu"},     {"vocab_size", 270},
      {"hidden_size", d},         {"intermediate_size", f},   {"num_hidden_layers", 2},
      {"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"head_dim", 4},
      {"rms_norm_eps", 1e-6},     {"rope_theta", 1e4},        {"tie_word_embeddings", true},
      {"eos_token_id", 7}};
  put(folder / "config.json", config.dump());
  std::map<std::string, std::vector<std::uint64_t>> shapes = {{"model.embed_tokens.weight", {270, d}},
                                                              {"model.norm.weight", {d}}};
  for (const std::string i : {"0", "1"}) {
    const std::string at = "model.layers." + i + ".";
    shapes[at + "input_layernorm.weight"] = shapes[at + "post_attention_layernorm.weight"] = {d};
    shapes[at + "self_attn.q_proj.weight"] = shapes[at + "self_attn.o_proj.weight"] = {d, d};
    shapes[at + "self_attn.k_proj.weight"] = shapes[at + "self_attn.v_proj.weight"] = {4, d};
    shapes[at + "self_attn.q_norm.weight"] = shapes[at + "self_attn.k_norm.weight"] = {4};
    shapes[at + "mlp.gate_proj.weight"] = shapes[at + "mlp.up_proj.weight"] = {f, d};
    shapes[at + "mlp.down_proj.weight"] = {d, f};
  }
  dice random(5);
  std::map<std::string, std::vector<float>> values;
  std::vector<modx::io::tensor_entry> entries;
  for (const auto& [tensor, shape] : shapes) {
    auto& v = values[tensor];
    v.resize(shape.size() == 2 ? shape[0] * shape[1] : shape[0]);
    for (float& x : v) x = float(random.below(2001)) / 1000 - 1;
    entries.push_back({tensor, modx::io::dtype::f32, shape, std::as_bytes(std::span(v))});
  }
  modx::io::write_safetensors(folder / "model.safetensors", entries);
}

}  // namespace modx::test
