// The language model that writes programs: prompt -> program, as tokens of the digit tokenizer or of a Qwen3
// folder.
#pragma once
#include <modx/backend/cpu.hpp>
#include <modx/io/interrupt.hpp>
#include <modx/io/stage_runner.hpp>
#include <modx/text/qwen3_tokenizer.hpp>

#include "../arithmetic/causal.hpp"
#include "../arithmetic/digit_tokenizer.hpp"
#include "program.hpp"

namespace step_decomposer {

/// The published interface, character by character.
inline std::string prompt_of(const std::string& expression) {
  return "Decompose the following arithmetic expression into step-by-step computation using variables x1, "
         "x2, ...\n"
         "Expression: " +
         expression + "\n\nProgram:\n";
}

/// Text to tokens and back, with the token that ends a program.
struct codec {
  std::function<std::vector<std::int32_t>(const std::string&)> encode;
  std::function<std::string(const std::vector<std::int32_t>&)> decode;
  std::int32_t end = 0;
  std::size_t vocabulary = 0;
};
inline codec digits() {
  const auto t = std::make_shared<arithmetic::digit_tokenizer>();
  return {[t](const std::string& text) { return t->encode(text); },
          [t](const std::vector<std::int32_t>& ids) { return t->decode(ids); }, t->end(), t->size()};
}
/// tokenizer.json of a folder; a program ends with the first token that ends a generation there.
inline codec of_folder(const std::filesystem::path& folder) {
  const auto t = std::make_shared<modx::text::tokenizer>(modx::text::qwen3_tokenizer(folder));
  const auto stop = modx::io::read_generation_config(folder).stop;
  if (stop.empty()) throw modx::error(folder.string(), "an \"eos_token_id\", which ends a program", "none");
  return {[t](const std::string& text) { return t->encode(text, {.added = modx::text::added_tokens::none}); },
          [t](const std::vector<std::int32_t>& ids) { return t->decode(ids); }, stop[0], t->size()};
}

inline std::vector<arithmetic::causal_example> examples_of(const std::vector<arithmetic::expression>& list,
                                                           const codec& c) {
  std::vector<arithmetic::causal_example> out;
  out.reserve(list.size());
  for (const auto& e : list) {
    out.push_back({c.encode(prompt_of(e.text())), c.encode(program_of(e))});
    out.back().answer.push_back(c.end);
  }
  return out;
}

/// The programs that the model writes, greedily; one that doesn't come to its end is "unfinished".
template <class M>
std::vector<reading> write_programs(M& model, const codec& c, const std::vector<std::string>& expressions,
                                    std::size_t max_tokens, std::size_t together = 64,
                                    std::vector<std::string>* texts = nullptr) {
  std::vector<reading> out;
  for (std::size_t i = 0; i < expressions.size(); i += together) {
    if (modx::io::interrupt::requested()) throw modx::io::interrupted("writing programs");
    std::vector<std::vector<std::int32_t>> prompts;
    for (std::size_t k = i; k < std::min(i + together, expressions.size()); ++k)
      prompts.push_back(c.encode(prompt_of(expressions[k])));
    for (auto ids : modx::generate(model, prompts,
                                   {.max_tokens = max_tokens, .stop = {c.end}, .vocabulary = c.vocabulary})) {
      const bool finished = !ids.empty() && ids.back() == c.end;
      if (finished) ids.pop_back();
      const auto text = c.decode(ids);
      out.push_back(finished ? read_program(text) : reading{{}, "unfinished"});
      if (texts) texts->push_back(text);
    }
  }
  return out;
}

}  // namespace step_decomposer
