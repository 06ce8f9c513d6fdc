// The program of docs/text.md.
#include "catch.hpp"
#include "text_support.hpp"

namespace {

// [page]
std::string complete(const modx::text::tokenizer& t, const std::vector<modx::text::token_id>& answer) {
  const auto prompt = modx::text::qwen3_chat_ids(t, "What is 12 + 34?", /*thinking=*/false);
  std::string text = t.decode(prompt);
  modx::text::stream_decoder stream(t, {.skip_special = true});
  for (const auto id : answer) text += stream.push(id);  // whole characters only
  return text + stream.finish();
}
// [/page]

}  // namespace

TEST_CASE("page: the program of docs/text.md", "[text]") {
  using namespace modx::test;
  const auto t = make(small_json({}, {"<|im_start|>", "<|im_end|>", "<think>", "</think>"}));
  CHECK(complete(t, t.encode("46<|im_end|>")) ==
        "<|im_start|>user\nWhat is 12 + 34?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n46");
}
