// Encoding, decoding and loading in bytes/s on one core.
//   tokenize TOKENIZER.json TEXT... [--benchmark_...]
#include <benchmark/benchmark.h>

#include <cstdio>
#include <modx/text/tokenizer.hpp>

namespace {

using namespace modx::text;

void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(bytes));
}

void run(int argc, char** argv) {
  const std::filesystem::path file = argv[1];
  static const tokenizer t(file);
  static std::vector<std::string> texts;
  for (int i = 2; i < argc; ++i)
    texts.push_back(replace_invalid_utf8(modx::io::read_file(argv[i], 1u << 30).text()));
  std::string letters;
  for (std::uint32_t x = 1; letters.size() < 5'000'000; x = x * 1664525u + 1013904223u)
    letters += static_cast<char>('a' + (x >> 24) % 26);

  benchmark::RegisterBenchmark("load", [&](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(tokenizer(file).size());
    count_bytes(state, std::filesystem::file_size(file));
  });
  const auto add = [&](const std::string& name, const std::string& text) {
    const auto ids = t.encode(text);
    std::printf("%s: %zu bytes, %zu ids, %.2f bytes an id\n", name.c_str(), text.size(), ids.size(),
                static_cast<double>(text.size()) / static_cast<double>(ids.size()));
    benchmark::RegisterBenchmark(("encode/" + name).c_str(), [text](benchmark::State& state) {
      for (auto _ : state) benchmark::DoNotOptimize(t.encode(text).data());
      count_bytes(state, text.size());
    });
    benchmark::RegisterBenchmark(("decode/" + name).c_str(), [text, ids](benchmark::State& state) {
      for (auto _ : state) benchmark::DoNotOptimize(t.decode(ids).data());
      count_bytes(state, text.size());
    });
  };
  for (int i = 2; i < argc; ++i)
    add(std::filesystem::path(argv[i]).filename().string(), texts[static_cast<std::size_t>(i - 2)]);
  for (const std::size_t n : {50'000u, 500'000u, 5'000'000u})
    add("word of " + std::to_string(n), letters.substr(0, n));
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc < 2) {
    std::fprintf(stderr, "usage: tokenize TOKENIZER.json TEXT... [--benchmark_...]\n");
    return 2;
  }
  try {
    run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
