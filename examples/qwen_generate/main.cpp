// qwen_generate: a Qwen3 from a Hugging Face folder answers a prompt, or one question after the other.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <modx/backend/cpu.hpp>
#include <modx/text/qwen3_chat.hpp>
#include <modx/text/qwen3_tokenizer.hpp>

namespace {

using clock = std::chrono::steady_clock;

struct options {
  std::string model, prompt, products = "auto";
  bool raw = false, thinking = false, greedy = false, stats = false;
  std::size_t max_tokens = 256;
  double temperature = -1, top_p = -1;
  long long top_k = -1;
  std::uint64_t seed = 1;
  int threads = 0;
};

void declare(CLI::App& app, options& o) {
  app.option_defaults()->always_capture_default();
  app.add_option("model", o.model,
                 "folder with config.json, tokenizer.json and model.safetensors (or shards with their index)")
      ->required()
      ->type_name("DIR");
  app.add_option("--prompt", o.prompt,
                 "what to ask; without it, lines are read from standard input, each a turn of its own")
      ->type_name("TEXT");
  app.add_flag("--raw", o.raw, "continue the prompt itself, without the chat template");
  app.add_flag("--thinking", o.thinking, "let the model think before it answers");
  app.add_flag("--greedy", o.greedy, "always the likeliest token, whatever generation_config.json says");
  app.add_option("--max-tokens", o.max_tokens, "new tokens at most")
      ->check(CLI::Range(std::size_t(1), std::size_t(1) << 20))
      ->type_name("N");
  app.add_option("--temperature", o.temperature, "-1: as generation_config.json says")
      ->check(CLI::Range(-1.0, 100.0))
      ->type_name("X");
  app.add_option("--top-k", o.top_k, "the k likeliest; 0: all, -1: as generation_config.json says")
      ->check(CLI::Range(-1LL, 1LL << 24))
      ->type_name("K");
  app.add_option("--top-p", o.top_p,
                 "the likeliest that together reach p; -1: as generation_config.json says")
      ->check(CLI::Range(-1.0, 1.0))
      ->type_name("P");
  app.add_option("--seed", o.seed, "of the draws")->type_name("N");
  app.add_option("--threads", o.threads, "0: one a core; the text does not depend on it")
      ->check(CLI::Range(0, 1024))
      ->type_name("N");
  app.add_option("--products", o.products,
                 "of activations in float, or rounded to bfloat16 as the weights are; auto: bf16 where the CPU has AMX")
      ->check(CLI::IsMember({"auto", "float", "bf16"}).description(""))
      ->type_name("auto|float|bf16");
  app.add_flag("--stats", o.stats, "tokens and seconds, on standard error");
}

modx::generation settings(const options& o, const std::filesystem::path& folder) {
  auto g = modx::io::read_generation_config(folder);
  if (o.temperature >= 0) g.sampling.temperature = o.temperature;
  if (o.top_k >= 0) g.sampling.top_k = std::size_t(o.top_k);
  if (o.top_p > 0) g.sampling.top_p = o.top_p;
  if (o.greedy) g.sampling = {};
  g.max_tokens = o.max_tokens;
  g.seed = o.seed;
  return g;
}

int run(const options& o) {
  const std::filesystem::path folder = o.model;
  const auto tokenizer = modx::text::qwen3_tokenizer(folder);
  auto g = settings(o, folder);
  g.vocabulary = tokenizer.size();
  modx::cpu backend(o.seed, o.threads);
  const std::string engine = modx::cpu::bf16_engine();
  const bool bf16 = o.products == "bf16" || (o.products == "auto" && engine == "AMX");
  backend.use_bf16(bf16);
  if (o.stats) std::fprintf(stderr, "products in %s\n", bf16 ? ("bfloat16 on " + engine).c_str() : "float");
  const auto loading = clock::now();
  auto model = modx::io::load_qwen3(backend, folder, /*trained=*/0);  // every weight in bfloat16
  if (o.stats)
    std::fprintf(stderr, "%zu parameters in %.1f s\n", model.parameter_count(),
                 std::chrono::duration<double>(clock::now() - loading).count());

  const auto answer = [&](const std::string& text) {
    const std::vector<std::vector<std::int32_t>> prompt = {
        o.raw ? tokenizer.encode(text) : modx::text::qwen3_chat_ids(tokenizer, text, o.thinking)};
    modx::text::stream_decoder decoder(tokenizer);
    const auto start = clock::now();
    auto first = start;
    std::size_t count = 0;
    modx::generate(model, prompt, g, [&](std::size_t, std::int32_t id) {
      if (count++ == 0) first = clock::now();
      if (std::find(g.stop.begin(), g.stop.end(), id) == g.stop.end())
        std::cout << decoder.push(id) << std::flush;
      return bool(std::cout);
    });
    std::cout << decoder.finish() << std::endl;
    if (!o.stats) return;
    const double prefill = std::chrono::duration<double>(first - start).count(),
                 rest = std::chrono::duration<double>(clock::now() - first).count();
    std::fprintf(stderr, "%zu tokens of prompt in %.2f s (%.1f tok/s), %zu new ones in %.2f s (%.1f tok/s)\n",
                 prompt[0].size(), prefill, double(prompt[0].size()) / prefill, count, prefill + rest,
                 count > 1 ? double(count - 1) / rest : 0.0);
  };
  if (!o.prompt.empty()) {
    answer(o.prompt);
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);)
    if (!line.empty()) answer(line);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Qwen3 from a Hugging Face folder: a prompt, or a chat of single turns.\n"
      "Exit status: 0 done, 1 failed, 2 wrong options; Ctrl-C ends it, what was said stays said.\n",
      "qwen_generate"};
  options o;
  declare(app, o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    return run(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "qwen_generate: %s\n", e.what());
    return 1;
  }
}
