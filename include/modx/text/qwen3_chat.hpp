// The chat template of Qwen3 for one turn of a user.
#pragma once
#include <modx/text/tokenizer.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace modx::text {

namespace detail {
inline constexpr std::string_view no_thinking = "<think>\n\n</think>\n\n";
}

/// The prompt as the template writes it; without `thinking` the answer begins after an empty thought.
inline std::string qwen3_chat(std::string_view user, bool thinking = true) {
  std::string out = "<|im_start|>user\n";
  out.append(user).append("<|im_end|>\n<|im_start|>assistant\n");
  if (!thinking) out += detail::no_thinking;
  return out;
}

/// Its ids, where added tokens that the user writes are text and don't end the turn.  Throws error where the
/// tokenizer has no <|im_start|>, <|im_end|>, <think> or </think>.
inline std::vector<token_id> qwen3_chat_ids(const tokenizer& t, std::string_view user, bool thinking = true) {
  for (const char* token : {"<|im_start|>", "<|im_end|>", "<think>", "</think>"})
    if (!t.find(token))
      throw error("text::qwen3_chat_ids", std::string("a tokenizer of Qwen3 with ") + token, "none");
  const encode_options as_text{.added = added_tokens::none};
  std::vector<token_id> ids{*t.find("<|im_start|>")};
  t.encode("user\n" + std::string(user), ids, as_text);
  t.encode("<|im_end|>\n<|im_start|>assistant\n", ids);
  if (!thinking) t.encode(detail::no_thinking, ids);
  return ids;
}

}  // namespace modx::text
