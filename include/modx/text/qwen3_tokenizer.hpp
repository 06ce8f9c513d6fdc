// The tokenizer of a Qwen3 folder.
#pragma once
#include <modx/io/qwen3_folder.hpp>
#include <modx/text/tokenizer.hpp>

namespace modx::text {

/// `folder`/tokenizer.json.  Throws error for a folder that isn't there, and for more ids than config.json's "vocab_size".
inline tokenizer qwen3_tokenizer(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    throw error(folder.string(), "a folder with config.json, tokenizer.json and model.safetensors", "no such folder");
  const std::size_t most = io::read_qwen3_config(folder).vocabulary;
  tokenizer t(folder / "tokenizer.json");
  if (t.size() > most)
    throw error((folder / "tokenizer.json").string(), "at most " + std::to_string(most) + " ids, as config.json says", std::to_string(t.size()));
  return t;
}

}  // namespace modx::text
