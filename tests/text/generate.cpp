// qwen_generate, run as its users run it, on a small random Qwen3 of the test's.
#include <modx/backend/cpu.hpp>
#include <modx/io/qwen3_folder.hpp>

#include "io/program.hpp"
#include "small_qwen3.hpp"

using namespace modx::test;

#ifdef MODX_QWEN_GENERATE
namespace {

/// A folder as Hugging Face's: config.json, tokenizer.json, model.safetensors.
struct model_folder : temp_folder {
  std::string name = path().string();
  model_folder() {
    write_small_qwen3(path());
  }
  outcome run(const arguments& options, const std::string& input = "") const {
    return run_program(arguments{MODX_QWEN_GENERATE, name, "--products", "float"} + options, input);
  }
  /// What modx::generate says of the prompt, as text.
  std::string expected(const std::vector<std::int32_t>& prompt, modx::generation g, bool bf16 = false) const {
    modx::cpu backend(g.seed, 1);
    backend.use_bf16(bf16);
    auto m = modx::io::load_qwen3(backend, path(), 0);
    const tokenizer t(path() / "tokenizer.json");
    g.stop = {7}, g.vocabulary = t.size();
    auto ids = modx::generate(m, std::span(&prompt, 1), g)[0];
    if (ids.back() == 7) ids.pop_back();
    return t.decode(ids) + "\n";
  }
};

}  // namespace

TEST_CASE("qwen_generate says what modx::generate makes, at any number of threads", "[text]") {
  const model_folder f;
  const auto raw = tokenizer(f / "tokenizer.json").encode("hell");
  const auto o = f.run({"--prompt", "hell", "--raw", "--max-tokens", "12"});
  CHECK(o.err == "");
  CHECK(o.exit == 0);
  CHECK(o.out == f.expected(raw, {.max_tokens = 12}));
  CHECK(f.run({"--prompt", "hell", "--raw", "--max-tokens", "12", "--threads", "2"}).out == o.out);
  const modx::generation drawn{
      .max_tokens = 12, .sampling = {.temperature = 2, .top_k = 40, .top_p = 0.9}, .seed = 3};
  CHECK(f.run({"--prompt", "hell", "--raw", "--max-tokens", "12", "--temperature", "2", "--top-k", "40",
               "--top-p", "0.9", "--seed", "3"})
            .out == f.expected(raw, drawn));
  CHECK(f.expected(raw, drawn) != o.out);
  put(f / "generation_config.json",
      R"({"do_sample": true, "temperature": 2.0, "top_k": 40, "top_p": 0.9, "eos_token_id": 7})");
  CHECK(f.run({"--prompt", "hell", "--raw", "--max-tokens", "12", "--seed", "3"}).out ==
        f.expected(raw, drawn));
  CHECK(f.run({"--prompt", "hell", "--raw", "--max-tokens", "12", "--seed", "3", "--greedy"}).out == o.out);
}

TEST_CASE("qwen_generate: the chat template, with and without thinking; a turn for each line; figures",
          "[text]") {
  const model_folder f;
  const tokenizer t(f / "tokenizer.json");
  const auto plain = f.run({"--prompt", "hell", "--max-tokens", "9"}),
             thinking = f.run({"--prompt", "hell", "--max-tokens", "9", "--thinking"});
  CHECK(plain.out == f.expected(qwen3_chat_ids(t, "hell", false), {.max_tokens = 9}));
  CHECK(thinking.out == f.expected(qwen3_chat_ids(t, "hell", true), {.max_tokens = 9}));
  CHECK(plain.out != thinking.out);
  const auto lines = f.run({"--max-tokens", "9", "--stats"}, "hell\n\nhe");
  CHECK(lines.out == plain.out + f.expected(qwen3_chat_ids(t, "he", false), {.max_tokens = 9}));
  CHECK(contains(lines.err, "tokens of prompt in "));
}

TEST_CASE("qwen_generate: products in bfloat16 where they are asked for, or where there is AMX", "[text]") {
  const model_folder f;
  const auto raw = tokenizer(f / "tokenizer.json").encode("hell");
  const auto say = [&](const std::string& products) {
    return run_program({MODX_QWEN_GENERATE, f.name, "--prompt", "hell", "--raw", "--max-tokens", "40", "--products", products, "--stats"});
  };
  const std::string engine = modx::cpu::bf16_engine();
  const auto rounded = say("bf16");
  CHECK(contains(rounded.err, "products in bfloat16 on " + engine + "\n"));
  CHECK(rounded.out == f.expected(raw, {.max_tokens = 40}, true));
  CHECK(contains(say("float").err, "products in float\n"));
  CHECK(say("auto").out == (engine == "AMX" ? rounded : say("float")).out);
}

TEST_CASE("qwen_generate: help, wrong options, files that are missing or don't fit, Ctrl-C", "[text]") {
  const model_folder f;
  const auto help = f.run({"--help"});
  CHECK(help.exit == 0);
  for (const char* part : {"DIR", "--prompt TEXT", "--max-tokens N", "--temperature X", "--raw"})
    CHECK(contains(help.out, part));
  CHECK(run_program({MODX_QWEN_GENERATE}).exit == 2);
  CHECK(f.run({"--wrong"}).exit == 2);
  CHECK(f.run({"--top-p", "2"}).exit == 2);
  CHECK(run_program({MODX_QWEN_GENERATE, f.name, "--products", "double"}).exit == 2);
  CHECK(f.run({"--max-tokens", "0"}).exit == 2);
  CHECK(contains(run_program({MODX_QWEN_GENERATE, f.name + "/none"}).err, "config.json"));
  const auto bad = f.run({"--prompt", "h\xff"});
  CHECK(bad.exit == 1);
  CHECK(contains(bad.err, "text in UTF-8"));
  program p({MODX_QWEN_GENERATE, f.name, "--max-tokens", "3"});
  CHECK(p.write("hell\n"));
  CHECK(p.read_some() != "");
  p.send(SIGINT);  // while it waits for the next line
  CHECK(p.wait().signal == SIGINT);
  put(f / "tokenizer.json", small_json().dump());
  CHECK(contains(f.run({"--prompt", "he"}).err, "a tokenizer of Qwen3 with <|im_start|>"));
  std::vector<std::string> many(20, "<a>");
  for (std::size_t i = 0; i < many.size(); ++i) many[i] += std::to_string(i);
  put(f / "tokenizer.json", small_json({}, many).dump());
  CHECK(contains(f.run({"--prompt", "he"}).err, "at most 270 ids, as config.json says"));
  fs::remove(f / "tokenizer.json");
  CHECK(contains(f.run({"--prompt", "he"}).err, "tokenizer.json"));
}
#endif
