// red_mnist and its data set: raw or gzip, missing, damaged; and folders that already hold a run.
#include "catch.hpp"
#include "runs.hpp"

using namespace red_test;
using modx::test::get;
using modx::test::put;
using modx::test::temp_folder;

namespace {
void edit_file(const fs::path& file, void (*change)(std::string&)) {
  auto bytes = get(file);
  change(bytes);
  put(file, bytes);
}
}  // namespace

TEST_CASE("red_mnist reads the data set raw and gzipped alike", "[input]") {
  const temp_folder folder;
  write_small_mnist(folder / "gz", 200, 60, true);
  write_small_mnist(folder / "raw", 200, 60);
  const auto options = [&](const std::string& kind) {
    return small_run(folder / (kind + "-run"), "1", "published") +
           arguments{"--data-dir", (folder / kind).string(), "--run", "moe"};
  };
  finish(options("gz")), finish(options("raw"));
  CHECK(weight_differences(folder / "gz-run", folder / "raw-run").empty());
}

TEST_CASE("red_mnist names the file and the offset of what is wrong with the data set", "[input]") {
  struct fault {
    const char *what, *file, *place;
    void (*make)(const fs::path&);
  };
  const char* images = "train-images-idx3-ubyte";
  const char* labels = "t10k-labels-idx1-ubyte";
  const fault faults[] = {
      {"no folder", "", "no such folder", [](const fs::path& f) { fs::remove_all(f.parent_path()); }},
      {"no file", "", "train-images-idx3-ubyte", [](const fs::path& f) { fs::remove(f); }},
      {"magic", images, "byte 0", [](const fs::path& f) { edit_file(f, [](std::string& b) { b[0] = 'P'; }); }},
      {"type", images, "byte 2", [](const fs::path& f) { edit_file(f, [](std::string& b) { b[2] = 0x0d; }); }},
      {"cut off", images, "byte 1000", [](const fs::path& f) { edit_file(f, [](std::string& b) { b.resize(1000); }); }},
      {"bytes after the end", labels, "byte 68", [](const fs::path& f) { edit_file(f, [](std::string& b) { b += 'x'; }); }},
      {"label 10", labels, "byte 17", [](const fs::path& f) { edit_file(f, [](std::string& b) { b[17] = 10; }); }},
      {"counts", labels, "byte 4", [](const fs::path& f) { edit_file(f, [](std::string& b) { b[7] = 59, b.resize(67); }); }},
      {"empty", images, "byte 0", [](const fs::path& f) { put(f, ""); }}};
  for (const auto& fault : faults) {
    CAPTURE(fault.what);
    const temp_folder folder;
    write_small_mnist(folder / "data", 200, 60);
    fault.make(folder / "data" / (*fault.file ? fault.file : images));
    const auto o = run(small_run(folder / "run") + arguments{"--data-dir", (folder / "data").string()});
    CHECK(o.exit == 1);
    CHECK(contains(o.err, (*fault.file ? folder / "data" / fault.file : folder / "data").string()));
    CHECK(contains(o.err, fault.place));
    CHECK(std::count(o.err.begin(), o.err.end(), '\n') == 1);
    CHECK_FALSE(fs::exists(folder / "run"));
  }
}

TEST_CASE("images of other sizes are refused in a sentence", "[input]") {
  const temp_folder folder;
  write_small_mnist(folder / "data", 200, 60);
  put(folder / "data" / "t10k-images-idx3-ubyte", modx::test::idx_text({60, 14, 56}));
  const auto o = run(small_run(folder / "run") + arguments{"--data-dir", (folder / "data").string()});
  CHECK(o.exit == 1);
  CHECK(contains(o.err, "28 x 28 and 14 x 56"));
}

TEST_CASE("a data set without one of the digits is refused in a sentence", "[input]") {
  const temp_folder folder;
  write_small_mnist(folder / "data", 200, 60);
  const auto file = folder / "data" / "train-labels-idx1-ubyte";
  auto bytes = get(file);
  for (std::size_t i = 8; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] % 8);
  put(file, bytes);
  const auto o = run(small_run(folder / "run") + arguments{"--data-dir", (folder / "data").string()});
  CHECK(o.exit == 1);
  CHECK(contains(o.err, "8-9"));
  CHECK_FALSE(fs::exists(folder / "run"));
}

TEST_CASE("an earlier run is not touched: refused without --resume, and with it under other options", "[input]") {
  const temp_folder folder;
  const auto save = folder / "run";
  const auto options = small_run(save, "1", "published") + arguments{"--run", "moe"};
  finish(options);
  const auto before = contents(save);

  auto o = run(options);
  CHECK(o.exit == 1);
  CHECK(contains(o.err, save.string()));
  CHECK(contains(o.err, "--resume"));
  CHECK(contents(save) == before);

  const std::vector<arguments> others = {{"--batch-size", "8"}, {"--seed", "7"}, {"--seeds", "2"}, {"--profile", "fair"},
                                         {"--run", "all"}, {"--lr-moe", "0.5"}, {"--val-ratio", "0.2"}};
  for (const auto& other : others) {
    CAPTURE(other);
    o = run(options + arguments{"--resume"} + other);
    CHECK(o.exit == 1);
    CHECK(contains(o.err, other[0]));
    CHECK(contains(o.err, other[1]));
    CHECK(contents(save) == before);
  }
  put(save / "config.json", "{\"options\": 3}\n");
  CHECK(run(options + arguments{"--resume"}).exit == 1);
  put(save / "config.json", "{");
  o = run(options + arguments{"--resume"});
  CHECK(o.exit == 1);
  CHECK(contains(o.err, "config.json"));
}

TEST_CASE("a finished run may be resumed: nothing is trained again and the results stay", "[input]") {
  const temp_folder folder;
  const auto save = folder / "run";
  const auto options = small_run(save, "2", "published");
  finish(options);
  const auto metrics = metrics_without_times(save);
  const auto log = read_log(save / "log.jsonl").size();
  const auto o = finish(options + arguments{"--resume", "--threads", "1"});
  CHECK(contains(o.err, "seed 42: done"));
  CHECK(metrics_without_times(save) == metrics);
  CHECK(read_log(save / "log.jsonl").size() == log + 1);  // one more "done"
}

TEST_CASE("a save folder that can't be made is an error that names it", "[input]") {
  const temp_folder folder;
  put(folder / "file", "in the way");
  const auto o = run(small_run(folder / "file" / "run"));
  CHECK(o.exit == 1);
  CHECK(contains(o.err, (folder / "file").string()));
}
