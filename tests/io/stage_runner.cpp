// stage_runner: stages with their files and checkpoints; interrupted anywhere, damaged or not, the end is the same.
#include <utility>

#include <modx/backend/cpu.hpp>
#include <modx/io/stage_runner.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>

#include "catch.hpp"
#include "io_support.hpp"

using namespace modx;
using namespace modx::test;

namespace {

using weights = std::vector<matrix<float>>;

/// Two stages on one small model.
struct plan {
  cpu backend{1, 1};
  dataset<cpu> data{{backend, backend.normal(40, 3), 3}, {}, {}};
  std::vector<std::int32_t> rows, validation;
  std::vector<nlohmann::ordered_json> log;
  std::size_t stop_after = 0;  // epochs; then SIGTERM

  plan() {
    for (std::int32_t i = 0; i < 40; ++i) data.label.push_back(i % 2), (i < 30 ? rows : validation).push_back(i);
  }
  /// Runs the plan and returns the weights; `said` gets what the user sees.
  weights run(const fs::path& folder, bool resume, std::string* said = nullptr, double interval = 0,
              double* seconds = nullptr) {
    auto m = build(backend, module::sequential(module::linear{.out = 4}, module::linear{}), {.in = 3, .out = 2}, 1);
    std::FILE* screen = std::tmpfile();
    log.clear();
    const io::interrupt on_signal;
    std::string failure;
    try {
      io::progress bar({.style = io::progress_style::plain, .out = screen});
      io::stage_runner stages(folder, resume, interval, bar, [&](const auto& record) {
        log.push_back(record);
        if (log.size() == stop_after) ::raise(SIGTERM);
      }, "run ");
      const auto stage = [&](const char* name, const char* pattern) {
        stages.run(name, m, {pattern}, optimizer::adamw{.lr = 0.01}, loss::cross_entropy{}, data, rows, validation, data.label,
                   [](const auto& net, auto x) { return net.forward(x); },
                   {.max_epochs = 4, .batch_size = 10, .virtual_batch_size = 10, .patience = 0});
      };
      stage("first", "0.*"), stage("second", "1.*");
      if (seconds) *seconds = stages.seconds().at("first").template get<double>();
    } catch (const error& e) {
      failure = e.what();
    }
    if (said) {
      std::rewind(screen);
      char line[4096];
      said->clear();
      while (std::fgets(line, sizeof line, screen)) *said += line;
      *said += failure;
    }
    std::fclose(screen);
    weights all;
    for (auto* p : m.parameters()) all.push_back(p->host());
    return all;
  }
};

/// The weights at the end of an uninterrupted run.
weights reference() {
  const temp_folder folder;
  return plan().run(folder.path(), false);
}

}  // namespace

TEST_CASE("each finished stage has a file of what it trained, and its epochs are in the log") {
  const temp_folder folder;
  plan p;
  std::string said;
  p.run(folder.path(), false, &said, 1000);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"first.safetensors", "second.safetensors"});
  const io::safetensors_file first(folder / "first.safetensors");
  CHECK(first.list().size() == 2);
  CHECK(first.find("0.weight"));
  CHECK(first.metadata().at("stage") == "first");
  CHECK(first.metadata().at("epochs") == "4");
  REQUIRE(p.log.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(p.log[i].at("stage") == (i < 4 ? "first" : "second"));
    CHECK(p.log[i].at("epoch") == i % 4 + 1);
    for (const char* key : {"loss", "acc", "val_loss", "val_acc", "lr", "seconds", "best"}) CHECK(p.log[i].contains(key));
  }
  CHECK(contains(said, "run second  epoch 4/4"));
}

TEST_CASE("interrupted after any epoch, it says so, and goes on to the same bits") {
  const auto wanted = reference();
  for (std::size_t stop = 1; stop <= 8; ++stop) {
    CAPTURE(stop);
    const temp_folder folder;
    plan p;
    std::string said;
    p.stop_after = stop;
    p.run(folder.path(), false, &said, 1000);
    CHECK(contains(said, stop <= 4 ? "interrupted in run first" : "interrupted in run second"));
    CHECK(p.log.size() == stop);
    p.stop_after = 0;
    CHECK(p.run(folder.path(), true, &said) == wanted);
    CHECK(p.log.size() == 8 - stop);  // no epoch twice
    if (stop % 4) CHECK(contains(said, "going on after epoch " + std::to_string(stop % 4)));
    if (stop > 4) CHECK(contains(said, "run first: done, read from first.safetensors"));
  }
}

TEST_CASE("interrupted after every single epoch") {
  const temp_folder folder;
  plan p;
  p.stop_after = 1;
  std::string said;
  for (int i = 0; i < 8; ++i) {
    p.run(folder.path(), i > 0, &said, 1000);
    CHECK(contains(said, "interrupted"));
    CHECK(p.log.size() == 1);
  }
  p.stop_after = 0;
  CHECK(p.run(folder.path(), true) == reference());
  CHECK(p.log.empty());
}

TEST_CASE("a stage leaves the best epoch's values, in the model and in its file") {
  cpu backend(1, 1);
  dataset<cpu> data{{backend, backend.normal(40, 3), 3}, {}, {}};
  for (std::int32_t i = 0; i < 40; ++i) data.label.push_back(i % 2);  // nothing to learn: validation gets worse
  const auto rows = all_rows(30);
  std::vector<std::int32_t> validation;
  for (std::int32_t i = 30; i < 40; ++i) validation.push_back(i);
  const auto whole = [](const auto& net, auto x) { return net.forward(x); };
  const temp_folder folder;
  io::progress bar({.style = io::progress_style::quiet});
  std::vector<double> losses;
  for (const bool resume : {false, true}) {
    auto m = build(backend, module::linear{}, {.in = 3, .out = 2}, 1);
    io::stage_runner stages(folder.path(), resume, 1000, bar,
                            [&](const auto& record) { losses.push_back(record.at("val_loss").template get<double>()); }, "");
    stages.run("only", m, {"*"}, optimizer::adamw{.lr = 1}, loss::cross_entropy{}, data, rows, validation, data.label, whole,
               {.max_epochs = 12, .batch_size = 10, .virtual_batch_size = 10, .patience = 0});
    REQUIRE(losses.size() == 12);
    const auto best = std::min_element(losses.begin(), losses.end());
    REQUIRE(best != losses.end() - 1);
    CHECK(evaluate(m, data, validation, data.label, whole).loss == *best);
    const auto facts = io::safetensors_file(folder / "only.safetensors").metadata();
    CHECK(facts.at("best_epoch") == std::to_string(best - losses.begin() + 1));
  }
}

TEST_CASE("without resume an old stage's file is not read") {
  const temp_folder folder;
  plan p;
  p.run(folder.path(), false);
  p.run(folder.path(), false);
  CHECK(p.log.size() == 8);
}

TEST_CASE("resuming where nothing is starts anew") {
  const temp_folder folder;
  plan p;
  CHECK(p.run(folder.path(), true) == reference());
}

TEST_CASE("a damaged stage file, byte by byte, is trained again with a message") {
  const auto wanted = reference();
  const temp_folder folder;
  plan p;
  p.run(folder.path(), false, nullptr, 1000);
  const auto file = folder / "first.safetensors";
  const auto good = get(file);
  for (std::size_t i = 0; i < good.size(); i += i < 8 || i + 80 > good.size() ? 1 : 41) {
    auto bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    put(file, bytes);
    std::string said;
    CHECK(p.run(folder.path(), true, &said, 1000) == wanted);
    CAPTURE(i, said);
    CHECK(contains(said, "run first: trained again, "));
    CHECK(p.log.size() == 4);
  }
  put(file, "");
  std::string said;
  CHECK(p.run(folder.path(), true, &said, 1000) == wanted);
  CHECK(contains(said, "trained again"));
  p.run(folder.path(), true, nullptr, 1000);
  CHECK(p.log.empty());  // the new file is good
}

TEST_CASE("a damaged checkpoint is passed over, two are forgotten, and the end is the same") {
  const auto wanted = reference();
  for (const bool both : {false, true}) {
    const temp_folder folder;
    plan p;
    p.stop_after = 7;
    p.run(folder.path(), false);
    std::vector<fs::path> files;
    for (const auto& e : fs::directory_iterator(folder.path()))
      if (e.path().filename().string().starts_with("training-")) files.push_back(e.path());
    std::sort(files.begin(), files.end());
    REQUIRE(files.size() == 2);
    for (std::size_t i = both ? 0 : 1; i < 2; ++i) {
      auto bytes = get(files[i]);
      bytes.back() = static_cast<char>(bytes.back() ^ 1);
      put(files[i], bytes);
    }
    p.stop_after = 0;
    std::string said;
    CHECK(p.run(folder.path(), true, &said) == wanted);
    CHECK(contains(said, files[1].filename().string()));
    CHECK(contains(said, both ? "the stage starts anew" : "run second: going on after epoch 2"));
    CHECK(p.log.size() == (both ? 4u : 2u));
  }
}

TEST_CASE("a checkpoint with a right checksum that isn't a stage's state is an error, not a crash") {
  const std::vector<nlohmann::json> metas = {
      {{"stage", "first"}},
      {{"stage", "first"}, {"epoch", -1}, {"best_epoch", 1}, {"best", 0}, {"seconds", 0}, {"updates", nlohmann::json::object()}},
      {{"stage", "first"}, {"epoch", "one"}, {"best_epoch", 1}, {"best", 0}, {"seconds", 0}, {"updates", {}}},
      {{"stage", "first"}, {"epoch", 1}, {"best_epoch", 2}, {"best", 0}, {"seconds", 0}, {"updates", nlohmann::json::object()}},
      {{"stage", "first"}, {"epoch", 1}, {"best_epoch", 1}, {"best", 0}, {"seconds", 0}, {"updates", {{"0.bias", "x"}}}}};
  for (const auto& meta : metas) {
    CAPTURE(meta.dump());
    const temp_folder folder;
    io::checkpoint_store(folder.path(), "training").save(1, {}, meta);
    plan p;
    std::string said;
    p.run(folder.path(), true, &said);
    CHECK(contains(said, "modx: "));
    CHECK(p.log.empty());
  }
  for (const nlohmann::json& meta : {nlohmann::json("text"), nlohmann::json({{"stage", "elsewhere"}}), nlohmann::json({{"stage", 3}}),
                                     nlohmann::json::array()}) {  // not this stage's: it begins at the beginning
    const temp_folder folder;
    io::checkpoint_store(folder.path(), "training").save(1, {}, meta);
    plan p;
    CHECK(p.run(folder.path(), true) == reference());
    CHECK(p.log.size() == 8);
  }
}

TEST_CASE("the seconds of a stage are all sessions' together") {
  const temp_folder folder;
  plan p;
  p.stop_after = 2;
  p.run(folder.path(), false);
  double before = 0;
  for (const auto& record : p.log) before += record.at("seconds").get<double>();
  p.stop_after = 0;
  double seconds = 0;
  p.run(folder.path(), true, nullptr, 0, &seconds);
  double after = 0;
  for (std::size_t i = 0; i < 2; ++i) after += p.log[i].at("seconds").get<double>();
  CHECK(seconds == Approx(before + after));
  double read = 0;
  p.run(folder.path(), true, nullptr, 0, &read);
  CHECK(read == Approx(seconds).margin(1e-6));
}
