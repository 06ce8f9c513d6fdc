#include <modx/io/image_set.hpp>

#include "catch.hpp"
#include "idx_files.hpp"
#include "io_support.hpp"

using namespace modx::io;
using namespace modx::test;

namespace {

std::string images(std::uint32_t n) { return idx_text({n, 2, 3}); }
std::string labels(std::uint32_t n) {
  auto s = idx_text({n});
  for (std::uint32_t i = 0; i < n; ++i) s[8 + i] = static_cast<char>(i % 10);
  return s;
}

}  // namespace

TEST_CASE("image_set: finds both splits under all four names", "[io]") {
  for (const char* join : {"-", "."})
    for (const bool zipped : {false, true}) {
      temp_folder dir;
      const std::string end = zipped ? ".gz" : "";
      const auto save = [&](const std::string& stem, const std::string& kind, const std::string& bytes) {
        put(dir / (stem + join + kind + end), zipped ? gzip(bytes) : bytes);
      };
      save("train-images", "idx3-ubyte", images(12));
      save("train-labels", "idx1-ubyte", labels(12));
      save("t10k-images", "idx3-ubyte", images(5));
      save("t10k-labels", "idx1-ubyte", labels(5));
      const auto train = load_image_set(dir.path(), split::train),
                 test = load_image_set(dir.path(), split::test);
      CHECK(train.count == 12);
      CHECK(test.count == 5);
      CHECK(train.height == 2);
      CHECK(train.width == 3);
      REQUIRE(train.pixels.size() == 72);
      CHECK(train.pixels[71] == static_cast<std::uint8_t>(71 * 7));
      REQUIRE(train.labels.size() == 12);
      CHECK(train.labels[11] == 1);
      CHECK(test.pixels.size() == 30);
    }
}

TEST_CASE("image_set: a missing file's error says folder, names and what to do", "[io]") {
  temp_folder dir;
  put(dir / "train-images-idx3-ubyte", images(2));
  const auto code = code_of([&] { load_image_set(dir.path(), split::train); });
  CHECK(code == "missing_file");
  const auto what = message_of([&] { load_image_set(dir.path(), split::train); });
  INFO(what);
  for (const auto& part : {dir.path().string(),
                           std::string("train-labels-idx1-ubyte, train-labels.idx1-ubyte, "
                                       "train-labels-idx1-ubyte.gz, train-labels.idx1-ubyte.gz"),
                           std::string("put the four files of MNIST")})
    CHECK(what.find(part) != what.npos);
  CHECK(code_of([&] { load_image_set(dir.path(), split::test); }) == "missing_file");
  CHECK(code_of([&] { load_image_set(dir / "none", split::test); }) == "missing_file");
}

TEST_CASE("image_set: files that don't belong together", "[io]") {
  const auto high = [](int v) {
    auto s = labels(4);
    s[8 + 2] = static_cast<char>(v);
    return s;
  };
  struct {
    const char* name;
    std::string images, labels;
    const char* code;
    std::uint64_t offset;
  } const cases[] = {
      {"one label too few", images(4), labels(3), "counts_disagree", 4},
      {"one label too many", images(4), labels(5), "counts_disagree", 4},
      {"label 10 of 10 classes", images(4), high(10), "label_out_of_range", 10},
      {"label 255", images(4), high(255), "label_out_of_range", 10},
      {"swapped", labels(4), images(4), "wrong_rank", 3},
      {"images twice", images(4), images(4), "wrong_rank", 3},
      {"labels twice", labels(4), labels(4), "wrong_rank", 3},
      {"images of rank 2", idx_text({4, 6}), labels(4), "wrong_rank", 3},
      {"images of rank 4", idx_text({4, 2, 3, 1}), labels(4), "wrong_rank", 3},
      {"labels of rank 2", images(4), idx_text({4, 1}), "wrong_rank", 3},
      {"no images at all", idx_text({0, 2, 3}), idx_text({0}), "zero_dimension", 4},
      {"images of width 0", idx_text({4, 2, 0}), labels(4), "zero_dimension", 12},
      {"no labels at all", images(4), idx_text({0}), "zero_dimension", 4},
      {"empty images", "", labels(4), "truncated_header", 0},
      {"empty labels", images(4), "", "truncated_header", 0},
      {"truncated images", images(4).substr(0, 20), labels(4), "truncated_data", 20},
      {"truncated labels", images(4), labels(4).substr(0, 10), "truncated_data", 10},
  };
  temp_folder dir;
  for (const auto& c : cases) {
    put(dir / "t10k-images-idx3-ubyte", c.images);
    put(dir / "t10k-labels-idx1-ubyte", c.labels);
    INFO(c.name);
    try {
      load_image_set(dir.path(), split::test);
      FAIL_CHECK("no error");
    } catch (const io_error& e) {
      CHECK(e.code() == c.code);
      CHECK(e.offset() == c.offset);
    }
  }
  put(dir / "t10k-images-idx3-ubyte", images(4));
  put(dir / "t10k-labels-idx1-ubyte", high(46));
  CHECK(load_image_set(dir.path(), split::test, 47).labels[2] == 46);
  CHECK(code_of([&] { load_image_set(dir.path(), split::test, 46); }) == "label_out_of_range");
}

TEST_CASE("image_set: a folder or FIFO under a file's name", "[io]") {
  temp_folder dir;
  put(dir / "t10k-labels-idx1-ubyte", labels(4));
  fs::create_directory(dir / "t10k-images-idx3-ubyte");
  CHECK(code_of([&] { load_image_set(dir.path(), split::test); }) == "not_regular_file");
  fs::remove(dir / "t10k-images-idx3-ubyte");
  REQUIRE(::mkfifo((dir / "t10k-images-idx3-ubyte").c_str(), 0600) == 0);
  CHECK(code_of([&] { load_image_set(dir.path(), split::test); }) == "not_regular_file");
}
